"""The bundled model and collection: small enough, stated truly, and right on real images."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from mermed_core.data.phantoms import FINDINGS, SYNTHETIC_PREFIX, draw_phantom
from mermed_core.data.sources.opener import open_manifest
from mermed_core.files import BUNDLED_ATLAS, BUNDLED_COLLECTION, BUNDLED_MODEL
from mermed_core.inference.predictor import MedicalImage, Predictor
from mermed_core.metrics.bootstrap import MIN_GROUPS
from mermed_core.metrics.scores import auroc, unweighted
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.models.embedder import embed_manifest
from mermed_core.models.heads import MODALITY_TASK
from mermed_core.records import Familiarity

README = Path(__file__).parents[3] / "README.md"
# What the bundled model reached on sources and kinds left out, rounded down.
UNSEEN_SOURCE_FLOORS = {"modality_right": 0.97, "passed": 0.8, "unknown_turned_away": 0.84}
MOST_CONFIDENT_WRONG = 0.001
FINDINGS_FLOOR = 0.615
MOST_CONFIDENT_OUTSIDE = 0.02


@pytest.fixture(scope="module")
def bundled() -> Predictor:
    return Predictor.load(BUNDLED_MODEL, BUNDLED_COLLECTION)


def test_the_model_is_small():
    assert sum(path.stat().st_size for path in BUNDLED_MODEL.rglob("*") if path.is_file()) <= 25 * 2**20


def test_the_collection_is_synthetic_and_of_this_model(bundled):
    assert bundled.collection is not None
    assert bundled.collection.synthetic
    assert bundled.made(bundled.collection)
    assert len(bundled.collection.values("modality")) == 7


def test_the_atlas_holds_real_cases_of_all_modalities_without_their_pictures():
    atlas = Predictor.load(BUNDLED_MODEL, BUNDLED_ATLAS).collection
    assert atlas is not None
    assert not atlas.synthetic
    assert len(atlas) > 25_000
    assert set(atlas.values("modality")) == set(MODALITY_KEYS)
    assert set(atlas.values("split")) == {"train", "val"}
    assert atlas.thumbnail(str(atlas.records["case_id"].iloc[0])) is None
    assert set(atlas.values("source")) == set(atlas.sources)
    assert sum(path.stat().st_size for path in BUNDLED_ATLAS.iterdir()) <= 15 * 2**20


def test_real_cases_lie_near_cases_with_their_label():
    """Of the eight nearest cases of other patients, as the page lists them."""
    atlas = Predictor.load(BUNDLED_MODEL, BUNDLED_ATLAS).collection
    assert atlas is not None
    rows = np.unique(np.linspace(0, len(atlas) - 1, 300).astype(int))
    modality, label = [], []
    for case, vector in zip(atlas.cases_at(rows), atlas.vectors[rows], strict=True):
        near = atlas.nearest(vector, 8, without=case)
        modality += [each.case.modality == case.modality for each in near]
        label += [each.case.labels == case.labels for each in near]
    assert np.mean(modality) > 0.99
    assert np.mean(label) > 0.7


def test_what_images_of_other_sources_get_does_not_fall(bundled):
    """A new model may raise these figures; one that lowers them must not be bundled."""
    unseen = bundled.metrics.unseen_source
    assert unseen is not None
    for name, floor in UNSEEN_SOURCE_FLOORS.items():
        assert getattr(unseen, name).value >= floor, name
    assert unseen.confident_wrong.value <= MOST_CONFIDENT_WRONG
    assert bundled.metrics.model.confident_outside <= MOST_CONFIDENT_OUTSIDE
    held = [each.auroc.value for classes in unseen.findings.values() for each in classes.values()]
    assert np.mean(held) >= FINDINGS_FLOOR
    assert len(unseen.sources) > 25


def test_the_card_shows_what_was_measured(bundled):
    for task, measured in bundled.metrics.tasks.items():
        if not task.startswith(SYNTHETIC_PREFIX):
            row = f"| {task} | {measured.modality} | {measured.n_test} | {measured.auroc:.3f} ("
            assert row in bundled.card
            assert (measured.auroc_low is None) == (measured.n_groups < MIN_GROUPS)
    assert "## Licence\n\nCC BY-NC 4.0" in bundled.card
    assert "Research use only" in bundled.card


def test_every_row_of_the_readmes_table_was_measured(bundled):
    rows = re.findall(r"^\| .+ \| (\d+ \| .+ to .+\)) \| (\S+) \|$", README.read_text("utf-8"), re.M)
    measured = {
        (
            f"{task.n_test} | {task.auroc:.3f} ({task.auroc_low:.3f} to {task.auroc_high:.3f})",
            f"{task.ece:.3f}",
        )
        for task in bundled.metrics.tasks.values()
        if task.auroc_low is not None
    }
    assert len(rows) >= 6
    assert set(rows) <= measured


def test_the_map_points_at_the_finding_more_often_than_not(bundled):
    """The pointing game (Zhang et al. 2016) on phantoms, whose masks are known; chance is below 0.15."""
    hits = []
    for key, findings in FINDINGS.items():
        for label in findings:
            for seed in (50_000, 50_001):
                phantom = draw_phantom(key, label, seed=seed)
                image = MedicalImage(phantom.pixels, 1, 0, "PNG", ())
                heat = bundled.explain(image, task=f"phantom_{key}", label=label).heat
                near = binary_dilation(phantom.mask, iterations=8)
                hits.append(near[np.unravel_index(heat.argmax(), heat.shape)])
    assert np.mean(hits) > 0.6


@pytest.mark.gpu
def test_a_gpu_answers_as_the_cpu_does(monkeypatch):
    """TF32 is allowed, as it is when people use it: probabilities to a hundredth, the map to the eye."""
    on_gpu = Predictor.load(BUNDLED_MODEL, BUNDLED_COLLECTION)
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        on_cpu = Predictor.load(BUNDLED_MODEL, BUNDLED_COLLECTION)
    assert "cuda" in on_gpu.device
    assert "cpu" in on_cpu.device
    for key, findings in FINDINGS.items():
        label = next(iter(findings))
        image = MedicalImage(draw_phantom(key, label, seed=60_000).pixels, 1, 0, "PNG", ())
        ours, expected = on_gpu.analyse(image), on_cpu.analyse(image)
        assert ours.in_distribution == expected.in_distribution
        assert ours.modality == pytest.approx(expected.modality, abs=0.01)
        for mine, other in zip(ours.findings, expected.findings, strict=True):
            assert (mine.task, mine.label) == (other.task, other.label)
            assert mine.probability == pytest.approx(other.probability, abs=0.01)
        ours, expected = (
            each.explain(image, task=f"phantom_{key}", label=label).heat for each in (on_gpu, on_cpu)
        )
        assert np.corrcoef(ours.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.data
def test_the_stated_figure_is_found_again_on_the_test_images(bundled, mermed_data):
    """One small set, embedded again from its files."""
    test = open_manifest(str(mermed_data / "busi.parquet")).split("test")
    embeddings = embed_manifest(bundled.embedder, test)
    head = bundled.parts.heads.get("busi")
    labels = embeddings.manifest.frame["labels"]
    targets = np.array([[float(name in row) for name in head.classes] for row in labels])
    assert unweighted(auroc, targets, head.probabilities(embeddings.vectors)) == pytest.approx(
        bundled.metrics.tasks["busi"].auroc, abs=0.005
    )


@pytest.mark.data
def test_real_images_of_every_set_are_known_and_of_their_modality(bundled, mermed_data):
    for path in sorted(mermed_data.glob("*.parquet")):
        test = open_manifest(str(path)).split("test")
        sample = test.select(np.unique(np.linspace(0, len(test) - 1, 100).astype(int)))
        vectors = embed_manifest(bundled.embedder, sample, neutral=True).vectors
        head = bundled.parts.heads.get(MODALITY_TASK)
        named = np.array(head.classes)[head.probabilities(vectors).argmax(1)]
        assert (named == sample.frame["modality"].to_numpy()).mean() >= 0.9, path.stem
        assert bundled.parts.detector.passes(vectors, head.logits(vectors)).mean() >= 0.9, path.stem


@pytest.mark.data
def test_label_sets_keep_silent_about_sets_that_they_have_no_label_of(bundled, mermed_data):
    """Slices of chests that no label set is about, and eyes that nobody looked at for a macular hole."""
    for name, task in (("mednist_ct", "lung_ct"), ("eye_diseases", "macular_hole")):
        test = open_manifest(str(mermed_data / f"{name}.parquet")).split("test")
        rows = np.unique(np.linspace(0, len(test) - 1, 60).astype(int))
        told = [bundled.analyse(test.read_image(row)).findings for row in rows]
        assert np.mean([any(found.task == task for found in findings) for findings in told]) <= 0.1, name


def test_noise_is_none_of_the_seven(bundled):
    for seed in range(10):
        pixels = np.random.default_rng(seed).integers(0, 256, (80, 80, 3), dtype=np.uint8)
        analysis = bundled.analyse(MedicalImage(pixels, 1, 0, "PNG", ()))
        assert analysis.familiarity is Familiarity.UNKNOWN, seed
        assert analysis.findings == ()
