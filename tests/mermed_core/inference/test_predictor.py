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
from mermed_core.models.heads import (
    MODALITY_TASK,
    NEGATIVE_CLASSES,
    NEGATIVE_TASK,
    UNNAMED_REGION,
    Head,
    HeadSet,
    region_task,
)
from mermed_core.models.model_metrics import (
    Estimate,
    FindingMetrics,
    ModelMetrics,
    UnseenSourceMetrics,
    WholeModelMetrics,
)
from mermed_core.models.preprocessing import paper_normalisation
from mermed_core.models.scopes import Limit, similarity
from mermed_core.records import Familiarity, Likelihood


def image(modality: str, seed: int = 99) -> MedicalImage:
    return MedicalImage(draw_phantom(modality, FINDINGS[modality][0], seed=seed).pixels, 1, 0, "PNG", ())


def noise(seed: int) -> MedicalImage:
    pixels = np.random.default_rng(seed).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    return MedicalImage(pixels, 1, 0, "PNG", ())


def open_scopes(predictor: Predictor, limit: float = -99, **changes) -> Predictor:
    """Returns a predictor whose label sets take every image that is given, or with a high limit none."""
    parts = predictor.parts
    scopes = tuple(replace(scope, nearness=Limit(limit, 0.01)) for scope in parts.scopes)
    parts = replace(parts, **({"scopes": scopes} | changes))
    return Predictor(predictor.embedder, parts, predictor.collection, metrics=predictor.metrics)


def test_everything_is_said_about_a_known_image(predictor):
    analysis = predictor.analyse(image("pathology"), neighbours=5)
    assert next(iter(analysis.modality)) == "pathology"
    assert sum(analysis.modality.values()) == pytest.approx(1, abs=1e-5)
    assert list(analysis.modality.values()) == sorted(analysis.modality.values(), reverse=True)
    assert analysis.in_distribution
    assert analysis.familiarity is Familiarity.FAMILIAR
    assert {finding.task for finding in analysis.findings} == {"phantom_pathology"}
    near = predictor.parts.detector.near(predictor.embed(image("pathology")).neutral[None])[0]
    (scope,) = (each for each in predictor.parts.scopes if each.task == "phantom_pathology")
    assert {finding.relevance for finding in analysis.findings} == {scope.relevance(near, {})}
    assert (analysis.region, analysis.region_probability) == ("", 0.0)
    assert sum(finding.probability for finding in analysis.findings) == pytest.approx(1, abs=1e-5)
    assert len(analysis.neighbours) == 5
    similarities = [neighbour.similarity for neighbour in analysis.neighbours]
    assert similarities == sorted(similarities, reverse=True)
    assert analysis.point is not None
    assert analysis.model == predictor.model_name


def test_an_unknown_image_gets_no_findings_but_its_neighbours(predictor):
    # A detector that nothing passes: an encoder that has learned nothing takes some noise for an image.
    closed = replace(predictor.parts.detector, threshold=np.array([np.inf], np.float32))
    strict = open_scopes(predictor, detector=closed)
    analyses = [strict.analyse(noise(seed)) for seed in range(3)]
    assert {analysis.familiarity for analysis in analyses} == {Familiarity.UNKNOWN}
    assert not any(analysis.in_distribution for analysis in analyses)
    assert all(analysis.findings == () for analysis in analyses)
    assert all(analysis.neighbours for analysis in analyses)
    assert all("none of the seven" in analysis.reason for analysis in analyses)


def test_an_image_in_no_scope_gets_everything_but_findings(predictor):
    familiar = open_scopes(predictor).analyse(image("pathology"))
    unlike = open_scopes(predictor, limit=99).analyse(image("pathology"))
    assert (familiar.familiarity, unlike.familiarity) == (Familiarity.FAMILIAR, Familiarity.UNLIKE)
    assert familiar.findings
    assert unlike.findings == ()
    assert unlike.in_distribution
    assert unlike.reason.startswith(familiar.reason)
    assert "unlike the images that any finding was learned on" in unlike.reason
    assert (unlike.modality, unlike.neighbours) == (familiar.modality, familiar.neighbours)
    assert unlike.point == familiar.point


def test_only_label_sets_whose_scope_holds_are_asked_the_surest_first(predictor):
    heads = predictor.parts.heads
    lung = heads.get("phantom_pathology")
    sets = {"colon": 0.0, "skin": 5.0, "lymph": -0.02}  # by the limit of their scopes
    named = tuple(replace(lung, task=task) for task in sets)
    near = predictor.parts.detector.near(predictor.embed(image("pathology")).neutral[None])
    (own,) = (each for each in predictor.parts.scopes if each.task == "phantom_pathology")
    at = similarity(near, own.references)[0]
    scopes = tuple(replace(own, task=task, nearness=Limit(at + limit, 0.01)) for task, limit in sets.items())
    parts = {"heads": HeadSet((heads.get(MODALITY_TASK), lung, *named)), "scopes": scopes}
    found = open_scopes(predictor, **parts).analyse(image("pathology")).findings
    # Exactly at the limit counts; `phantom_pathology` has no scope here and says nothing.
    assert list(dict.fromkeys(finding.task for finding in found)) == ["lymph", "colon"]
    assert {finding.task: finding.relevance for finding in found} == {
        "lymph": pytest.approx(1 / (1 + np.exp(-2)), abs=1e-3),
        "colon": pytest.approx(0.5, abs=1e-3),
    }


def knowing_negatives(predictor: Predictor, *seen: MedicalImage) -> Predictor:
    """Returns a predictor that tells these images from their negatives."""
    taken, turned = (
        np.stack([predictor.embedder.embed(pixels, None) for pixels in all_pixels])
        for all_pixels in ([each.pixels for each in seen], [255 - each.pixels for each in seen])
    )
    weight = 500 * np.stack([taken.mean(0) - turned.mean(0), turned.mean(0) - taken.mean(0)])
    bias = -weight @ np.concatenate([taken, turned]).mean(0)
    numbers = (weight.astype(np.float32), bias.astype(np.float32))
    head = Head(NEGATIVE_TASK, "", "multiclass", NEGATIVE_CLASSES, *numbers, 1.0, 2 * len(seen))
    others = [each for each in predictor.parts.heads.heads if each.task != NEGATIVE_TASK]
    return open_scopes(predictor, heads=HeadSet((*others, head)))


def test_a_negative_is_analysed_as_it_was_taken_and_said(predictor):
    film, section = image("cxr"), image("pathology")
    knowing = knowing_negatives(predictor, film)
    plain, turned = (knowing.analyse(each) for each in (film, replace(film, pixels=255 - film.pixels)))
    assert turned.notes == (
        *plain.notes,
        "The picture is a negative: dark and light were exchanged before it was analysed.",
    )
    assert replace(turned, notes=()) == replace(plain, notes=())
    task = next(finding.task for finding in plain.findings)
    heat, expected = (
        knowing.explain(each, task=task, label=plain.findings[0].label).heat
        for each in (replace(film, pixels=255 - film.pixels), film)
    )
    np.testing.assert_array_equal(heat, expected)
    # A part of it is one where its picture is, and too small a picture is never called one.
    part = replace(film, pixels=np.ascontiguousarray(255 - film.pixels[:90, :120]))
    assert knowing.embed(part, negative=True).negative
    assert not knowing.embed(part).negative
    # Only grey images are ever taken for negatives: the colours of a section could not be had back.
    knowing = knowing_negatives(predictor, section)
    coloured = knowing.embed(replace(section, pixels=255 - section.pixels))
    assert knowing.parts.heads.negative(coloured.neutral) > 0.5
    assert not coloured.negative


def test_a_light_frame_that_is_left_out_is_said_and_a_dark_one_is_not(predictor):
    film = image("cxr")
    embedder = predictor.embedder
    preprocessing = replace(embedder.config.preprocessing, trim=True)
    trimming = Embedder(
        embedder.backbone,
        replace(embedder.config, preprocessing=preprocessing),
        embedder.fingerprint,
        embedder.device,
    )
    leaving_out = Predictor(trimming, predictor.parts, None)
    plain = leaving_out.embed(film)
    for value, notes in (
        (255, ("The frame around the picture, such as its border or a viewer's window, was left out.",)),
        (0, ()),
    ):
        framed = replace(
            film, pixels=np.pad(film.pixels, ((20, 20), (20, 20), (0, 0)), constant_values=value)
        )
        embedding = leaving_out.embed(framed)
        assert embedding.notes == (*plain.notes, *notes)


def test_a_negative_stays_one_when_its_modality_is_named(predictor):
    film = image("cxr")
    turned = replace(film, pixels=255 - film.pixels)
    knowing = knowing_negatives(predictor, film)
    before = knowing.embed(turned)
    after = knowing.embed(turned, modality="CT", earlier=before)
    np.testing.assert_array_equal(after.vector, knowing.embed(film, modality="CT").vector)
    assert after.negative


def with_regions(predictor: Predictor, *names: str, sure: str) -> Predictor:
    """Returns a predictor that is quite sure which part of the body every pathology image shows."""
    heads = predictor.parts.heads.heads
    width = heads[0].weight.shape[1]
    bias = np.array([3.0 if name == sure else 0.0 for name in names], np.float32)
    weight = np.zeros((len(names), width), np.float32)
    sorter = Head(region_task("pathology"), "pathology", "multiclass", names, weight, bias, 1.0, 9)
    scopes = tuple(
        replace(scope, nearness=Limit(-99, 0.01), region="colon" if "pathology" in scope.task else "")
        for scope in predictor.parts.scopes
    )
    return open_scopes(predictor, heads=HeadSet((*heads, sorter)), scopes=scopes)


def test_the_part_of_the_body_is_named_and_decides_the_scope(predictor):
    share = np.exp(3) / (np.exp(3) + 1)
    colon = with_regions(predictor, "colon", "lung", sure="colon").analyse(image("pathology"))
    assert (colon.region, colon.region_probability) == ("colon", pytest.approx(share))
    assert [finding.relevance for finding in colon.findings] == pytest.approx([share] * len(colon.findings))
    assert colon.findings
    lung = with_regions(predictor, "colon", "lung", sure="lung").analyse(image("pathology"))
    assert (lung.region, lung.familiarity, lung.findings) == ("lung", Familiarity.UNLIKE, ())
    assert with_regions(predictor, "colon", "lung", sure="lung").analyse(image("ct")).region == ""
    strange = with_regions(predictor, "colon", "lung", sure="colon").analyse(noise(0))
    assert (strange.region, strange.region_probability) == ("", 0.0)


def test_a_region_that_only_a_source_stands_for_is_not_shown(predictor):
    unnamed = f"{UNNAMED_REGION}set_a"
    seen = with_regions(predictor, "colon", unnamed, sure=unnamed).analyse(image("pathology"))
    assert (seen.region, seen.region_probability, seen.familiarity) == ("", 0.0, Familiarity.UNLIKE)


def test_how_a_finding_holds_elsewhere_comes_from_the_metrics(predictor):
    first, second = predictor.parts.heads.get("phantom_pathology").classes[:2]
    measured = FindingMetrics(auroc=Estimate(value=0.8), sources=("a", "b"))
    unseen = UnseenSourceMetrics(findings={"phantom_pathology": {first: measured}})
    parts = open_scopes(predictor).parts
    told = Predictor(predictor.embedder, parts, None, metrics=ModelMetrics(unseen_source=unseen))
    found = {finding.label: finding for finding in told.analyse(image("pathology")).findings}
    assert (found[first].elsewhere, found[second].elsewhere) == (0.8, None)
    assert (found[first].holds_elsewhere, found[second].holds_elsewhere) == (True, False)
    bare = Predictor(predictor.embedder, parts, None).analyse(image("pathology"))
    assert {finding.elsewhere for finding in bare.findings} == {None}


def test_nothing_is_likely_that_was_not_shown_to_hold_elsewhere(predictor):
    found = predictor.analyse(image("ct"), neighbours=1).findings
    assert {finding.elsewhere for finding in found} == {None}
    assert found[0].probability > 0.5
    assert not any(finding.likelihood is Likelihood.LIKELY for finding in found)
    held = FindingMetrics(auroc=Estimate(value=0.9))
    predictor.metrics = ModelMetrics(
        unseen_source=UnseenSourceMetrics(findings={found[0].task: {each.label: held for each in found}})
    )
    words = [finding.likelihood for finding in predictor.analyse(image("ct"), neighbours=1).findings]
    head = next(each for each in predictor.parts.heads.findings if each.task == found[0].task)
    assert sorted(words) == sorted(head.likelihoods(np.array([finding.probability for finding in found])))


def test_of_an_unusual_image_no_finding_is_called_likely(predictor):
    held = FindingMetrics(auroc=Estimate(value=0.9))
    found = {head.task: dict.fromkeys(head.classes, held) for head in predictor.parts.heads.findings}
    metrics = ModelMetrics(unseen_source=UnseenSourceMetrics(findings=found))
    words = {}
    for known, score in ((True, -99.0), (False, 99.0)):  # of all images of other sources
        quantiles = np.full(101, score, np.float32)
        parts = open_scopes(predictor, detector=replace(predictor.parts.detector, quantiles=quantiles)).parts
        seen = Predictor(predictor.embedder, parts, None, metrics=metrics).analyse(image("pathology"))
        assert seen.familiarity is (Familiarity.FAMILIAR if known else Familiarity.UNUSUAL)
        assert seen.gives_findings
        words[known] = [finding.likelihood for finding in seen.findings]
    assert Likelihood.LIKELY in words[True]
    likely = {Likelihood.LIKELY: Likelihood.POSSIBLE}
    assert words[False] == [likely.get(word, word) for word in words[True]]


def test_a_modality_that_is_set_is_obeyed(predictor):
    seen = open_scopes(predictor).analyse(predictor.embed(image("oct"), modality="cxr"))
    assert {finding.task for finding in seen.findings} == {"phantom_cxr"}
    assert next(iter(seen.modality)) == "oct"
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
    vector = predictor.parts.space.project(predictor.embed(query).vector[None])[0]
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
        Predictor(other, predictor.parts, collection)


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
    predictor = Predictor(aware, fitted.parts, None)
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
    predictor = Predictor(aware, fitted.parts, collection)
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
    embedder = predictor.embedder
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


@pytest.mark.parametrize(
    "name",
    ["heads.json", "heads.safetensors", "ood.json", "ood.safetensors", "scopes.json", "scopes.safetensors"],
)
@pytest.mark.parametrize("harm", ["missing", "cut", "empty"])
def test_a_damaged_part_of_the_model_is_a_sentence(model_folder, tmp_path, name, harm):
    path = shutil.copytree(model_folder, tmp_path / "model") / "heads" / name
    content = path.read_bytes()
    path.unlink()
    if harm != "missing":
        path.write_bytes(content[: len(content) // 2 if harm == "cut" else 0])
    with pytest.raises(ModelError):
        Predictor.load(tmp_path / "model")


def test_a_label_set_that_is_no_better_than_chance_elsewhere_is_not_shown(predictor):
    classes = predictor.parts.heads.get("phantom_pathology").classes
    parts = open_scopes(predictor).parts

    def tasks(*aurocs):
        found = {
            name: FindingMetrics(auroc=Estimate(value=x)) for name, x in zip(classes, aurocs, strict=False)
        }
        metrics = ModelMetrics(unseen_source=UnseenSourceMetrics(findings={"phantom_pathology": found}))
        analysis = Predictor(predictor.embedder, parts, None, metrics=metrics).analyse(image("pathology"))
        return {finding.task for finding in analysis.findings}

    assert "phantom_pathology" in tasks(0.3, 0.6)
    assert "phantom_pathology" not in tasks(0.3, 0.5)
