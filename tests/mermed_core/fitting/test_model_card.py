"""The model card says what was measured, and nothing that was not."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.files import BUNDLED_MODEL
from mermed_core.fitting.datasets import read_datasets
from mermed_core.fitting.model_card import described, model_card
from mermed_core.models.model_folder import ModelConfig
from mermed_core.models.model_metrics import (
    METRICS,
    Estimate,
    FindingMetrics,
    KindMetrics,
    ModelMetrics,
    SourceMetrics,
    TaskMetrics,
    UnseenSourceMetrics,
    WholeModelMetrics,
)
from mermed_core.models.preprocessing import Preprocessing

CONFIG = ModelConfig(
    "tiny", "test_vit", Preprocessing(64), {"start": "random", "data": {"images": 3}, "steps": 7}, "CC BY 4.0"
)
CHEST = TaskMetrics(
    modality="cxr", n_test=40, n_groups=30, auroc=0.9123, auroc_low=0.85, auroc_high=0.961, ece=0.0421
)
NOTHING = ModelMetrics()
DATASETS = {
    "chest": {
        "title": "Chest films",
        "licence": "CC0",
        "caveat": "One hospital.",
        "names": {"pna": "pneumonia"},
    }
}
UNSEEN = UnseenSourceMetrics(
    modality_right=Estimate(value=0.978, low=0.961, high=0.989),
    passed=Estimate(value=0.91),
    confident_wrong=Estimate(value=0.006, low=0.002, high=0.01),
    unknown_turned_away=Estimate(),
    sources={
        "chest": SourceMetrics(modality="cxr", images=70, passed=Estimate(value=0.8, low=0.7, high=0.9)),
        "abroad": SourceMetrics(modality="ct", images=40),
    },
    kinds={"brain_mr": KindMetrics(value=0.9, low=0.8, high=0.95, images=80)},
    findings={
        "chest": {
            "pna": FindingMetrics(auroc=Estimate(value=0.75, low=0.7, high=0.8), sources=("chest", "abroad")),
            "normal": FindingMetrics(auroc=Estimate(value=0.27), sources=("abroad",)),
            "covid": FindingMetrics(),
        }
    },
)


@pytest.fixture
def manifest() -> Manifest:
    rows = [
        ("chest", "cxr", "train"),
        ("chest", "cxr", "test"),
        ("chest", "cxr", "test"),
        ("nameless", "ct", "val"),
    ]
    frame = pd.DataFrame(rows, columns=["source", "modality", "split"])
    drawn = pd.DataFrame([("phantom_oct", "oct", "train")], columns=frame.columns)
    return Manifest.from_frame(pd.concat([frame, drawn], ignore_index=True).assign(image=b"x"))


def row_of(card: str, name: str) -> list[str]:
    (row,) = [line for line in card.splitlines() if line.startswith(f"| {name}")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_data_are_counted_by_split_with_their_licence(manifest):
    card = model_card(CONFIG, NOTHING, manifest, DATASETS)
    assert row_of(card, "chest") == ["chest (Chest films)", "cxr", "1", "0", "2", "CC0"]
    assert row_of(card, "nameless") == ["nameless", "ct", "0", "1", "0", "not stated"]
    assert row_of(card, "phantom_oct")[-1] == "drawn here"
    assert card.index("| nameless") < card.index("| phantom_oct")


def results_of(entry: TaskMetrics, manifest: Manifest, name: str = "chest") -> str:
    card = model_card(CONFIG, ModelMetrics(tasks={name: entry}), manifest, DATASETS)
    return card[card.index("## Results") :]


def test_a_result_stands_with_its_interval_and_its_caveat(manifest):
    assert row_of(results_of(CHEST, manifest), "chest") == [
        "chest",
        "cxr",
        "40",
        "0.912 (0.850 to 0.961)",
        "0.042",
        "One hospital.",
    ]
    started = results_of(CHEST.model_copy(update={"start_auroc": 0.8}), manifest)
    assert row_of(started, "set")[4] == "AUROC of its start"
    assert row_of(started, "chest")[4] == "0.800"


@pytest.mark.parametrize(
    ("change", "cell"),
    [
        ({"auroc": None, "auroc_low": None, "auroc_high": None}, "not defined"),
        ({"auroc_low": None, "auroc_high": None, "n_groups": 3}, "0.912 (no interval: 3 groups)"),
    ],
)
def test_what_is_not_defined_is_not_given(manifest, change, cell):
    assert row_of(results_of(CHEST.model_copy(update=change), manifest), "chest")[3] == cell


def test_results_on_synthetic_images_are_left_out(manifest):
    assert "phantom_oct" not in results_of(CHEST, manifest, "phantom_oct")


def test_sentences_on_the_whole_model_only_where_it_was_measured(manifest):
    model = WholeModelMetrics(
        modality_accuracy=0.98765,
        known_accepted=0.97,
        confident_outside=0.0123,
        mean_auroc=0.9,
        start_mean_auroc=0.8,
    )
    measured = ModelMetrics(
        model=model, unknown_input={"noise": 0.981}, pointing={"HiResCAM": 0.81, "Grad-CAM": 0.5}
    )
    card = model_card(CONFIG, measured, manifest, DATASETS)
    assert "correctly on 98.77% of the test images; the out-of-distribution detector accepts 97.00%" in card
    assert "probability above 0.9 on 1.23% of the test images of its modality." in card
    assert "0.900, against 0.800 for the encoder that it started from" in card
    assert "Rejected as out of distribution: noise 98%." in card
    assert "best first: HiResCAM 81%, Grad-CAM 50%." in card
    empty = model_card(CONFIG, NOTHING, manifest, DATASETS)
    assert not any(
        text in empty for text in ("Mean AUROC", "correctly", "no label of", "Rejected", "Share of")
    )
    crossed = {"cross_validated_auroc": 0.7, "cross_validated_low": 0.6, "cross_validated_high": 0.8}
    assert "chest 0.700 (0.600 to 0.800)." in results_of(CHEST.model_copy(update=crossed), manifest)


def unseen_section(metrics: ModelMetrics, manifest: Manifest, config: ModelConfig = CONFIG) -> str:
    card = model_card(config, described(metrics, config, DATASETS), manifest, DATASETS)
    heading = "## Images of sources that the model did not see"
    return card[card.index(heading) : card.index("## Results on the sources' own test splits")]


def test_unseen_sources_come_before_own_test_splits_with_a_table_for_each_thing_left_out(manifest):
    section = unseen_section(ModelMetrics(tasks={"chest": CHEST}, unseen_source=UNSEEN), manifest)
    assert row_of(section, "modality right")[1] == "97.8% (96.1% to 98.9%)"
    assert row_of(section, "let pass")[1] == "91.0%"
    assert row_of(section, "images of unknown kinds")[1] == "not defined"
    assert row_of(section, "findings that hold")[1] == "1 of the 3 with a second source"
    assert row_of(section, "chest (Chest films)") == [
        *("chest (Chest films)", "cxr", "70", "not defined", "80.0% (70.0% to 90.0%)", "not defined"),
    ]
    assert section.index("| chest (Chest films)") > section.index("| abroad | ct")
    assert row_of(section, "chest | pneumonia")[2:] == ["0.750 (0.700 to 0.800)", "chest, abroad"]
    assert row_of(section, "chest | normal")[2:] == ["0.270", "abroad"]
    assert row_of(section, "brain mr") == ["brain mr", "80", "90.0% (80.0% to 95.0%)"]


def test_the_card_says_of_which_unseen_sources_the_encoder_had_images_without_labels(manifest):
    metrics = ModelMetrics(unseen_source=UNSEEN)
    assert "learned from images" not in unseen_section(metrics, manifest)
    for sources, sentence in (
        ({"chest": 70}, "images of 1 of the 2 sources, without their labels"),
        ({"chest": 70, "abroad": 3}, "images of all sources, without their labels"),
    ):
        config = replace(CONFIG, training={"data": {"images": 73, "sources": sources}})
        assert sentence in unseen_section(metrics, manifest, config)


def test_a_card_without_unseen_sources_says_that_nothing_is_known(manifest):
    assert "Not measured" in unseen_section(NOTHING, manifest)


def test_own_test_splits_are_what_a_visitor_does_not_get(manifest):
    assert "What a visitor does not get" in results_of(CHEST, manifest)


def test_front_matter_warning_and_training_stand(manifest):
    card = model_card(CONFIG, NOTHING, manifest, DATASETS)
    front = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert front
    assert 'license_name: "CC BY 4.0"' in front[1]
    assert "Not a medical device" in card
    assert "- data: images 3" in card
    assert "- start: `random`" in card
    assert "64 × 64 px" in card
    assert "stage pooling" not in card
    pooled = model_card(replace(CONFIG, pooled_stages=3, centre_sigma=0.1), NOTHING, manifest, DATASETS)
    assert "stage pooling: the last 3 stages, over the whole image, and around the centre (σ 0.1" in pooled


def test_described_metrics_bring_names_for_people():
    metrics = ModelMetrics(
        tasks={"chest": CHEST, "phantom_oct": CHEST.model_copy(update={"modality": "oct"})},
        model=WholeModelMetrics(modality_accuracy=0.9),
    )
    named = described(metrics, CONFIG, DATASETS)
    facts = {"title": "Chest films", "caveat": "One hospital.", "names": {"pna": "pneumonia"}}
    assert named.tasks["chest"] == CHEST.model_copy(update=facts)
    assert named.tasks["phantom_oct"].title == "OCT, synthetic"
    assert "nothing about real" in named.tasks["phantom_oct"].caveat
    assert named.model == metrics.model


def test_a_data_set_that_states_little_is_no_error(manifest):
    scant = {"chest": {"title": "Chest films"}}
    metrics = ModelMetrics(tasks={"chest": CHEST, "other": CHEST})
    assert row_of(model_card(CONFIG, metrics, manifest, scant), "chest (")[-1] == "not stated"
    named = described(metrics, CONFIG, scant).tasks
    assert (named["other"].title, named["chest"].caveat) == ("other", "")


def test_what_one_data_set_teaches_has_a_name_of_its_own_beside_that_of_the_set():
    facts = {"chest": {"title": "Chest films (Doe 2020)", "findings": "Chest X-ray, pneumonia"}}
    named = described(ModelMetrics(tasks={"chest": CHEST}), CONFIG, facts).tasks
    assert named["chest"].title == "Chest X-ray, pneumonia"


def test_the_page_calls_no_findings_by_the_name_of_a_data_set():
    titles = {each.title for each in ModelMetrics.load(BUNDLED_MODEL / METRICS).tasks.values()}
    assert titles
    assert titles.isdisjoint(facts["title"] for facts in read_datasets().values())
