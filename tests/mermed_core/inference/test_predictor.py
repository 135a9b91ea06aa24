import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mermed_core.collections.store import load_collection
from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.errors import CollectionError, ModelError
from mermed_core.inference.predictor import Filter, MedicalImage, Predictor
from mermed_core.modalities import MODALITY_KEYS, UnknownModalityError
from mermed_core.models.embedder import Embedder
from mermed_core.models.model_metrics import ModelMetrics, WholeModelMetrics
from mermed_core.models.preprocessing import paper_normalisation


def image(modality: str, seed: int = 99) -> MedicalImage:
    return MedicalImage(draw_phantom(modality, FINDINGS[modality][0], seed=seed).pixels, 1, 0, "PNG", ())


def noise(seed: int) -> MedicalImage:
    pixels = np.random.default_rng(seed).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    return MedicalImage(pixels, 1, 0, "PNG", ())


def test_everything_is_said_about_a_known_image(predictor):
    analysis = predictor.analyse(image("pathology"), neighbours=5)
    assert next(iter(analysis.modality)) == "pathology"
    assert sum(analysis.modality.values()) == pytest.approx(1, abs=1e-5)
    assert list(analysis.modality.values()) == sorted(analysis.modality.values(), reverse=True)
    assert analysis.in_distribution
    assert {finding.task for finding in analysis.findings} == {"phantom_pathology"}
    assert sum(finding.probability for finding in analysis.findings) == pytest.approx(1, abs=1e-5)
    assert len(analysis.neighbours) == 5
    similarities = [neighbour.similarity for neighbour in analysis.neighbours]
    assert similarities == sorted(similarities, reverse=True)
    assert analysis.point is not None
    assert analysis.model == predictor.model_name


def test_an_unknown_image_gets_no_findings_but_its_neighbours(predictor):
    analyses = [predictor.analyse(noise(seed)) for seed in range(3)]
    assert not any(analysis.in_distribution for analysis in analyses)
    assert all(analysis.findings == () for analysis in analyses)
    assert all(analysis.neighbours for analysis in analyses)


def test_a_modality_that_is_set_is_obeyed(predictor):
    findings = predictor._findings(predictor.embed(image("oct"), modality="cxr"))
    assert {finding.task for finding in findings} == {"phantom_cxr"}
    with pytest.raises(UnknownModalityError):
        predictor.embed(image("oct"), modality="banana")
    by_alias = predictor.analyse(predictor.embed(image("fundus"), modality="CFP"))
    assert {finding.task for finding in by_alias.findings} <= {"phantom_fundus"}


def test_it_explains_every_class_and_refuses_others(predictor):
    for label in predictor.tasks[0].classes:
        saliency = predictor.explain(image("ct"), task=predictor.tasks[0].task, label=label)
        assert saliency.heat.shape == image("ct").pixels.shape[:2]
    with pytest.raises(ModelError, match="no class"):
        predictor.explain(image("ct"), task=predictor.tasks[0].task, label="nothing")
    with pytest.raises(ModelError, match="no head"):
        predictor.explain(image("ct"), task="nothing", label="nothing")


def test_similar_cases_of_an_image_are_those_of_brute_force(predictor):
    query = image("dermatology")
    vector = predictor.embed(query).vector
    order = np.argsort(-(predictor.collection.vectors @ vector), kind="stable")[:6]
    hits = predictor.similar(query, count=6)
    assert [hit.case for hit in hits] == list(predictor.collection.cases_at(order))


def test_similar_cases_of_a_case_leave_out_its_own_group(predictor):
    (case,) = predictor.collection.cases_at([4])
    hits = predictor.similar(case.case_id, count=len(predictor.collection))
    assert all(hit.case.group != case.group for hit in hits)
    assert len(hits) == (predictor.collection.records["group"] != case.group).sum()


def test_filters_hold_and_may_leave_nothing(predictor):
    hits = predictor.similar(
        image("ct"), count=50, where=Filter({"modality": ["oct"], "label": ["synthetic normal"]})
    )
    assert hits
    assert {hit.case.modality for hit in hits} == {"oct"}
    assert all("synthetic normal" in hit.case.labels for hit in hits)
    assert predictor.similar(image("ct"), where=Filter({"source": ["no such source"]})) == ()


def test_an_image_of_the_collection_falls_on_itself(predictor):
    analysis = predictor.analyse(image("ultrasound"))
    assert predictor.place(image("ultrasound")) == analysis.point


def test_without_a_collection_there_are_neither_neighbours_nor_a_place(model_folder):
    bare = Predictor.load(model_folder)
    analysis = bare.analyse(image("ct"))
    assert (analysis.neighbours, analysis.point) == ((), None)
    assert bare.place(image("ct")) is None
    with pytest.raises(CollectionError, match="mermed collect"):
        bare.similar(image("ct"))


def test_a_collection_of_another_model_is_refused(
    tmp_path, collection_folder, predictor, model_folder, make_model
):
    other = make_model(tmp_path / "other", seed=5)
    collection = load_collection(collection_folder)
    assert predictor.made(collection)
    assert other.fingerprint != collection.fingerprint
    with pytest.raises(CollectionError, match="another model"):
        Predictor(other, predictor._heads, predictor._detector, collection)


def test_an_encoder_without_heads_says_how_to_fit_them(encoder_folder):
    with pytest.raises(ModelError, match=r"mermed fit"):
        Predictor.load(encoder_folder)


def test_many_at_once_get_each_their_own_answer(predictor):
    images = [image(key, seed) for key in MODALITY_KEYS for seed in (1, 2)]
    alone = [predictor.analyse(item).to_dict() for item in images]
    with ThreadPoolExecutor(8) as pool:
        together = [analysis.to_dict() for analysis in pool.map(predictor.analyse, images)]
    for left, right in zip(alone, together, strict=True):
        assert [item["case_id"] for item in left["neighbours"]] == [
            item["case_id"] for item in right["neighbours"]
        ]
        assert left["modality"] == pytest.approx(right["modality"], abs=1e-5)
        assert (left["in_distribution"], left["reason"]) == (right["in_distribution"], right["reason"])


@pytest.fixture
def aware(embedder) -> Embedder:
    """An encoder that normalises every modality in its own way."""
    preprocessing = replace(embedder.config.preprocessing, modalities=paper_normalisation())
    config = replace(embedder.config, preprocessing=preprocessing)
    return Embedder(embedder.backbone, config, embedder.fingerprint, embedder.device)


@pytest.fixture
def passes(embedder):
    """Counts the encoder's forward passes."""
    counted = []
    hook = embedder.backbone.register_forward_hook(lambda *_: counted.append(1))
    yield counted
    hook.remove()


def test_the_embedding_is_normalised_for_the_modality_that_counts(aware, fitted):
    predictor = Predictor(aware, fitted.heads, fitted.detector, None)
    query = image("oct")
    detected = predictor.embed(query)
    for modality in ("oct", "dermatology"):
        embedding = predictor.embed(query, modality=modality)
        assert embedding.chosen == modality
        np.testing.assert_array_equal(embedding.vector, aware.embed(query.pixels, modality))
        np.testing.assert_array_equal(embedding.neutral, aware.embed(query.pixels, None))
        assert embedding.modality == detected.modality  # what a person names does not change what is detected
    assert not np.allclose(embedding.vector, aware.embed(query.pixels, "oct"))
    again = predictor.embed(query, modality="oct", earlier=embedding)
    np.testing.assert_array_equal(again.vector, aware.embed(query.pixels, "oct"))


def test_an_image_is_embedded_once_for_every_question(aware, fitted, collection_folder, passes):
    collection = load_collection(collection_folder)
    predictor = Predictor(aware, fitted.heads, fitted.detector, collection)
    embedding = predictor.embed(image("oct"))
    assert len(passes) == 2  # neutral, to detect the modality, and with that modality's normalisation
    predictor.analyse(embedding)
    predictor.similar(embedding, where=Filter({"modality": ["oct"]}))
    predictor.similar(collection.records["case_id"][0])
    predictor.place(embedding)
    assert len(passes) == 2
    other = "ct" if embedding.chosen != "ct" else "oct"
    set_by_hand = predictor.embed(image("oct"), modality=other, earlier=embedding)
    assert len(passes) == 3  # the neutral pass is not repeated
    assert predictor.embed(image("oct"), modality=other, earlier=set_by_hand) is set_by_hand
    assert len(passes) == 3
    predictor.analyse(image("oct"))
    assert len(passes) == 5


def test_where_all_modalities_are_normalised_alike_one_pass_is_enough(predictor, passes):
    embedder = predictor._embedder
    hook = embedder.backbone.register_forward_hook(lambda *_: passes.append(1))
    embedding = predictor.embed(image("ct"))
    predictor.embed(image("ct"), modality="oct", earlier=embedding)
    hook.remove()
    assert len(passes) == 1


def test_notes_and_the_headers_modality_reach_the_analysis(predictor):
    seen = replace(image("ct"), notes=("Window 40/400.",), header_modality="oct")
    analysis = predictor.analyse(seen)
    assert (analysis.notes, analysis.header_modality) == (("Window 40/400.",), "oct")
    by_hand = predictor.embed(seen, modality="cxr", earlier=predictor.embed(seen))
    assert (by_hand.notes, by_hand.header_modality) == (("Window 40/400.",), "oct")


def test_label_sets_say_whether_their_classes_exclude_each_other(predictor):
    assert all(label_set.exclusive == (label_set.kind != "multilabel") for label_set in predictor.tasks)


def test_card_and_figures_come_from_the_folder(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "README.md").write_text("---\nlicense: other\n---\n\n# Card\n\n---\nText.\n")
    ModelMetrics(model=WholeModelMetrics(modality_accuracy=0.98)).save(folder / "metrics.json")
    predictor = Predictor.load(folder)
    assert predictor.card == "# Card\n\n---\nText."
    assert predictor.metrics.model.modality_accuracy == 0.98
    assert Predictor.load(model_folder).metrics == ModelMetrics()


@pytest.mark.parametrize("content", ["{", "3", "null", '["a"]'])
def test_damaged_metrics_are_a_sentence(model_folder, tmp_path, content):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "metrics.json").write_text(content)
    with pytest.raises(ModelError, match=r"metrics\.json"):
        Predictor.load(folder)


@pytest.mark.parametrize("name", ["heads.json", "heads.safetensors", "ood.json", "ood.safetensors"])
@pytest.mark.parametrize("harm", ["missing", "cut", "empty"])
def test_a_damaged_part_of_the_model_is_a_sentence(model_folder, tmp_path, name, harm):
    path = shutil.copytree(model_folder, tmp_path / "model") / "heads" / name
    content = path.read_bytes()
    path.unlink()
    if harm != "missing":
        path.write_bytes(content[: len(content) // 2 if harm == "cut" else 0])
    with pytest.raises(ModelError):
        Predictor.load(tmp_path / "model")
