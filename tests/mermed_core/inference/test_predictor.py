import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mermed_core.collections.collection import load_collection
from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.errors import CollectionError, ModelError
from mermed_core.inference.predictor import MedicalImage, Predictor
from mermed_core.modalities import MODALITY_KEYS, UnknownModalityError
from mermed_core.models.embedder import Embedder
from mermed_core.models.preprocessing import paper_normalisation


def image(modality: str, seed: int = 99) -> MedicalImage:
    return MedicalImage(draw_phantom(modality, FINDINGS[modality][0], seed=seed).pixels, 1, 0, "PNG", ())


def noise(seed: int) -> MedicalImage:
    pixels = np.random.default_rng(seed).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    return MedicalImage(pixels, 1, 0, "PNG", ())


def test_everything_is_said_of_a_known_image(predictor):
    analysis = predictor.analyse(image("pathology"), neighbours=5)
    assert next(iter(analysis.modality)) == "pathology"
    assert sum(analysis.modality.values()) == pytest.approx(1, abs=1e-5)
    assert list(analysis.modality.values()) == sorted(analysis.modality.values(), reverse=True)
    assert analysis.known
    assert {finding.task for finding in analysis.findings} == {"phantom_pathology"}
    assert sum(finding.probability for finding in analysis.findings) == pytest.approx(1, abs=1e-5)
    assert len(analysis.neighbours) == 5
    similarities = [neighbour.similarity for neighbour in analysis.neighbours]
    assert similarities == sorted(similarities, reverse=True)
    assert analysis.point is not None
    assert analysis.model == predictor.model_name


def test_an_unknown_image_gets_no_findings_but_its_neighbours(predictor):
    analyses = [predictor.analyse(noise(seed)) for seed in range(3)]
    assert not any(analysis.known for analysis in analyses)
    assert all(analysis.findings == () for analysis in analyses)
    assert all(analysis.neighbours for analysis in analyses)


def test_a_modality_that_is_set_is_obeyed(predictor):
    vector = predictor._embed(image("oct"), None)[2]
    found = predictor._findings("cxr", vector)
    assert {finding.task for finding in found} == {"phantom_cxr"}
    with pytest.raises(UnknownModalityError):
        predictor.analyse(image("oct"), modality="banana")
    by_alias = predictor.analyse(image("fundus"), modality="CFP")
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
    vector = predictor._embed(query, None)[2]
    order = np.argsort(-(predictor.collection.vectors @ vector), kind="stable")[:6]
    hits = predictor.similar(query, count=6)
    assert [hit.case.case_id for hit in hits] == [predictor.collection.cases[i].case_id for i in order]


def test_similar_cases_of_a_case_leave_out_its_own_group(predictor):
    case = predictor.collection.cases[4]
    hits = predictor.similar(case.case_id, count=len(predictor.collection))
    assert all(hit.case.group != case.group for hit in hits)
    assert len(hits) == sum(other.group != case.group for other in predictor.collection.cases)


def test_filters_hold_and_may_leave_nothing(predictor):
    hits = predictor.similar(image("ct"), count=50, modalities=["oct"], labels=["synthetic normal"])
    assert hits
    assert {hit.case.modality for hit in hits} == {"oct"}
    assert all("synthetic normal" in hit.case.labels for hit in hits)
    assert predictor.similar(image("ct"), sources=["no such source"]) == ()


def test_an_image_of_the_collection_falls_on_itself(predictor):
    analysis = predictor.analyse(image("ultrasound"))
    assert predictor.place(image("ultrasound")) == analysis.point


def test_without_a_collection_there_are_neither_neighbours_nor_a_place(model_folder):
    bare = Predictor.load(model_folder)
    analysis = bare.analyse(image("ct"))
    assert (analysis.neighbours, analysis.point) == ((), None)
    assert bare.place(image("ct")) is None
    with pytest.raises(CollectionError, match="build_collection"):
        bare.similar(image("ct"))


def test_a_collection_of_another_model_is_refused(
    tmp_path, collection_folder, predictor, model_folder, make_model
):
    other = make_model(tmp_path / "other", seed=5)
    collection = load_collection(collection_folder)
    assert predictor.made(collection)
    assert other.fingerprint != collection.fingerprint
    with pytest.raises(CollectionError, match="another model"):
        Predictor(other, predictor._heads, predictor._gate, collection)


def test_an_encoder_without_heads_says_how_to_fit_them(encoder_folder):
    with pytest.raises(ModelError, match=r"train\.fit_heads"):
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
        assert (left["known"], left["gate"]) == (right["known"], right["gate"])


def test_the_embedding_that_counts_is_normalised_for_its_modality(embedder, assembly):
    preprocessing = replace(embedder.config.preprocessing, modalities=paper_normalisation())
    config = replace(embedder.config, preprocessing=preprocessing)
    aware = Embedder(embedder.backbone, config, "f" * 16, embedder.device)
    predictor = Predictor(aware, assembly.heads, assembly.gate, None)
    query = image("oct")
    for modality in ("oct", "dermatology"):
        shares, key, vector = predictor._embed(query, modality)
        assert key == modality
        np.testing.assert_array_equal(vector, aware.embed(query.pixels, modality))
        assert shares == predictor._embed(query, None)[0]  # detection does not listen to what is set
    assert not np.allclose(vector, aware.embed(query.pixels, "oct"))


def test_card_and_figures_come_from_the_folder(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "README.md").write_text("---\nlicense: other\n---\n\n# Card\n\n---\nText.\n")
    (folder / "metrics.json").write_text(json.dumps({"set": {"auroc": 0.9}, "modality_accuracy": 0.98}))
    predictor = Predictor.load(folder)
    assert predictor.card == "# Card\n\n---\nText."
    assert (predictor.metrics, predictor.figures) == ({"set": {"auroc": 0.9}}, {"modality_accuracy": 0.98})
    assert Predictor.load(model_folder).metrics == {}


@pytest.mark.parametrize("content", ["{", "3", "null", '["a"]'])
def test_damaged_figures_are_told(model_folder, tmp_path, content):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "metrics.json").write_text(content)
    with pytest.raises(ModelError, match=r"metrics\.json"):
        Predictor.load(folder)


@pytest.mark.parametrize("name", ["heads.json", "heads.safetensors", "gate.json", "gate.safetensors"])
@pytest.mark.parametrize("harm", ["missing", "cut", "empty"])
def test_a_damaged_part_of_the_model_is_told(model_folder, tmp_path, name, harm):
    path = shutil.copytree(model_folder, tmp_path / "model") / "heads" / name
    content = path.read_bytes()
    path.unlink()
    if harm != "missing":
        path.write_bytes(content[: len(content) // 2 if harm == "cut" else 0])
    with pytest.raises(ModelError):
        Predictor.load(tmp_path / "model")
