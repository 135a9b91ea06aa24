"""The model card says what was measured, and nothing that was not."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.fitting.model_card import described, model_card
from mermed_core.models.model_folder import ModelConfig
from mermed_core.models.preprocessing import Preprocessing

CONFIG = ModelConfig(
    "tiny", "test_vit", Preprocessing(64), {"start": "random", "data": {"images": 3}, "steps": 7}, "CC BY 4.0"
)
FIGURE = {
    "modality": "cxr",
    "n_test": 40,
    "n_groups": 30,
    "auroc": 0.9123,
    "auroc_low": 0.85,
    "auroc_high": 0.961,
    "ece": 0.0421,
}
DATASETS = {
    "chest": {
        "title": "Chest films",
        "licence": "CC0",
        "caveat": "One hospital.",
        "names": {"pna": "pneumonia"},
    }
}


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
    card = model_card(CONFIG, {}, manifest, DATASETS)
    assert row_of(card, "chest") == ["chest (Chest films)", "cxr", "1", "0", "2", "CC0"]
    assert row_of(card, "nameless") == ["nameless", "ct", "0", "1", "0", "not stated"]
    assert row_of(card, "phantom_oct")[-1] == "drawn here"
    assert card.index("| nameless") < card.index("| phantom_oct")


def test_a_figure_stands_with_its_interval_and_its_caveat(manifest):
    card = model_card(CONFIG, {"chest": FIGURE}, manifest, DATASETS)
    figures = card[card.index("## Figures") :]
    assert row_of(figures, "chest") == [
        "chest",
        "cxr",
        "40",
        "0.912 (0.850 to 0.961)",
        "0.042",
        "One hospital.",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"auroc": None, "auroc_low": None, "auroc_high": None}, "not defined"),
        ({"auroc_low": None, "auroc_high": None, "n_groups": 3}, "0.912 (no interval: 3 groups)"),
    ],
)
def test_what_is_not_defined_is_not_given(manifest, change, said):
    card = model_card(CONFIG, {"chest": FIGURE | change}, manifest, DATASETS)
    assert row_of(card[card.index("## Figures") :], "chest")[3] == said


def test_figures_on_drawn_images_are_left_out(manifest):
    card = model_card(CONFIG, {"phantom_oct": FIGURE}, manifest, DATASETS)
    assert "phantom_oct" not in card[card.index("## Figures") :]


def test_whole_model_figures_only_where_measured(manifest):
    measured = {"modality_accuracy": 0.98765, "known_accepted": 0.97}
    assert "98.77%" in model_card(CONFIG, measured, manifest, DATASETS)
    shares = {"rejected_noise": 0.981, "pointing_HiResCAM": 0.81, "pointing_Grad-CAM": 0.5}
    card = model_card(CONFIG, shares, manifest, DATASETS)
    assert "the gate turns away: noise 98%." in card
    assert "the best first: HiResCAM 81%, Grad-CAM 50%." in card
    assert "The modality is right" not in model_card(CONFIG, {}, manifest, DATASETS)


def test_front_matter_warning_and_training_stand(manifest):
    card = model_card(CONFIG, {}, manifest, DATASETS)
    front = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert front
    assert 'license_name: "CC BY 4.0"' in front[1]
    assert "Not a medical device" in card
    assert "- data: images 3" in card
    assert "- start: `random`" in card
    assert "64 × 64 px" in card
    assert "- focus" not in card
    focused = model_card(replace(CONFIG, focus=0.1), {}, manifest, DATASETS)
    assert "- focus: the middle, σ 0.1 of the side" in focused


def test_described_figures_bring_names_for_people():
    metrics = {"chest": FIGURE, "phantom_oct": FIGURE | {"modality": "oct"}, "modality_accuracy": 0.9}
    told = described(metrics, DATASETS)
    assert told["chest"] == FIGURE | {
        "title": "Chest films",
        "caveat": "One hospital.",
        "names": {"pna": "pneumonia"},
    }
    assert told["phantom_oct"]["title"] == "Synthetic OCT"
    assert "nothing of real" in told["phantom_oct"]["caveat"]
    assert told["modality_accuracy"] == 0.9


def test_a_data_set_that_states_little_is_no_error(manifest):
    scant = {"chest": {"title": "Chest films"}}
    assert row_of(model_card(CONFIG, {"chest": FIGURE}, manifest, scant), "chest (")[-1] == "not stated"
    assert described({"other": FIGURE}, scant)["other"]["title"] == "other"
    assert described({"chest": FIGURE}, scant)["chest"]["caveat"] == ""
