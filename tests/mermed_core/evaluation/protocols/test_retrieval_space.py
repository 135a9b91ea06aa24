"""Spaces beside the full embedding, against rankings that are worked out one query at a time."""

import numpy as np
import pandas as pd
import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError
from mermed_core.evaluation.protocols.retrieval_space import (
    COLUMNS,
    FULL,
    GIVEN,
    METRICS,
    OWN,
    UNSEEN,
    SpacePlan,
    Variant,
    left_out_together,
    measure_retrieval_spaces,
    stored,
)
from mermed_core.evaluation.retrieval_space_section import retrieval_space_section
from mermed_core.fitting import principal_axes
from mermed_core.models.embedder import Embeddings
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.reports.document import Tables

WIDTH = 12
VARIANTS = (Variant(8, 0.0, 16), Variant(2, 0.5, 8))


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def embeddings():
    """Three sources of two modalities, two classes each, patients with three images."""
    random = np.random.default_rng(0)
    rows, vectors = [], []
    for source, modality in (("a", "cxr"), ("b", "cxr"), ("c", "ct")):
        centre = random.normal(size=WIDTH)
        for patient in range(16):
            label = ("sick", "well")[patient % 2]
            person = centre + 0.5 * random.normal(size=WIDTH) + 2 * (label == "sick") * np.eye(WIDTH)[0]
            for image in range(3):
                rows.append(
                    {
                        "case_id": f"{source}{patient}-{image}",
                        "image": b"x",
                        "modality": modality,
                        "source": source,
                        "labels": [label],
                        "group": str(patient),
                        "split": "test" if patient >= 12 else "train",
                    }
                )
                vectors.append(person + 0.1 * random.normal(size=WIDTH))
    return Embeddings(unit(np.array(vectors)), Manifest.from_frame(pd.DataFrame(rows)), (), {})


@pytest.fixture(scope="module")
def own():
    mean = np.zeros(WIDTH, np.float32)
    return RetrievalSpace(mean, np.eye(WIDTH, dtype=np.float32)[:4])


@pytest.fixture(scope="module")
def measured(embeddings, own):
    plan = SpacePlan(images=1000, queries=1000, variants=VARIANTS, resamples=50)
    return measure_retrieval_spaces(embeddings, own, plan, encoder="tiny")


def expected(embeddings, vectors, source):
    """Precision at 5 and at 10, and mAP, of the test images of a source, query by query."""
    frame = embeddings.manifest.frame
    modality = frame["modality"][frame["source"] == source].iloc[0]
    scores = []
    for query in np.flatnonzero((frame["source"] == source) & (frame["split"] == "test")):
        found = [
            row
            for row in np.flatnonzero((frame["modality"] == modality) & (frame["split"] != "test"))
            if (frame["source"][row], frame["group"][row]) != (source, frame["group"][query])
        ]
        found.sort(key=lambda row, query=query: -float(vectors[row] @ vectors[query]))
        same = [
            frame["source"][row] == source and frame["labels"][row] == frame["labels"][query] for row in found
        ]
        at = [sum(same[: rank + 1]) / (rank + 1) for rank in range(len(same)) if same[rank]]
        scores.append((sum(same[:5]) / 5, sum(same[:10]) / 10, np.mean(at)))
    return np.mean(scores, axis=0)


@pytest.mark.parametrize("source", ["a", "c"])
def test_the_full_embedding_and_the_own_space_are_ranked_as_by_hand(embeddings, own, measured, source):
    for space, vectors in ((FULL, embeddings.vectors), (OWN, stored(own.project(embeddings.vectors), 8))):
        rows = measured[(measured["asked"] == GIVEN) & (measured["task"] == source)]
        rows = rows[rows["space"] == space].set_index("metric")
        assert rows["images"].tolist() == [12] * 4
        assert rows["groups"].tolist() == [4] * 4
        values = rows.loc[list(METRICS[1:]), "value"]
        assert values.to_numpy() == pytest.approx(expected(embeddings, vectors, source), abs=0.02)


def test_the_table_has_every_space_by_label_set_modality_and_over_all(measured):
    assert tuple(measured) == COLUMNS
    given = measured[measured["asked"] == GIVEN]
    assert list(given["space"].unique()) == [FULL, OWN, *map(str, VARIANTS)]
    assert set(zip(given["modality"], given["task"], strict=True)) == {
        *(("", ""), ("ct", ""), ("cxr", "")),
        *(("cxr", "a"), ("cxr", "b"), ("ct", "c")),
    }
    sizes = dict(zip(given["space"], given["bytes"], strict=True))
    assert list(sizes.values()) == [4 * WIDTH, 4, 16, 2]
    full = measured[measured["space"] == FULL]
    assert full[full["metric"] == METRICS[0]]["value"].eq(1).all()
    assert full["against_full"].eq(0).all()
    assert OWN not in set(measured[measured["asked"] == UNSEEN]["space"])  # it was fitted on them


def test_means_count_label_sets_and_modalities_alike(measured):
    for asked in (GIVEN, UNSEEN):
        rows = measured[(measured["asked"] == asked) & (measured["metric"] == "map")]
        values = rows[rows["space"] == FULL].set_index(["modality", "task"])["value"]
        assert values["cxr", ""] == pytest.approx((values["cxr", "a"] + values["cxr", "b"]) / 2)
        assert values["", ""] == pytest.approx((values["cxr", ""] + values["ct", ""]) / 2)


def test_intervals_hold_the_value_and_few_groups_have_none(measured):
    unseen = measured[(measured["asked"] == UNSEEN) & (measured["task"] == "a")]
    assert (unseen["groups"] == 16).all()
    assert (unseen["low"] <= unseen["value"] + 1e-9).all()
    assert (unseen["value"] <= unseen["high"] + 1e-9).all()
    given = measured[(measured["asked"] == GIVEN) & (measured["task"] == "a")]
    assert given["low"].isna().all()  # four patients


def test_a_space_is_fitted_without_the_source_that_it_is_asked_about(embeddings, own, monkeypatch):
    fitted = []
    fit = principal_axes.principal_axes

    def recorded(vectors, weights, rank):
        fitted.append(len(vectors))
        return fit(vectors, weights, rank)

    monkeypatch.setattr("mermed_core.evaluation.protocols.retrieval_space.principal_axes", recorded)
    plan = SpacePlan(variants=VARIANTS, resamples=5)
    measure_retrieval_spaces(embeddings, own, plan, encoder="tiny")
    assert fitted == [108, 36, 72]  # all; without a and c; without b
    assert left_out_together([["a", "b"], ["c"], []]) == [{"a", "c"}, {"b"}]


def test_no_more_is_asked_than_planned(embeddings):
    plan = SpacePlan(images=9, queries=5, variants=VARIANTS, resamples=5)
    measured = measure_retrieval_spaces(embeddings, None, plan, encoder="tiny")
    tasks = measured[measured["task"] != ""]
    assert tasks["images"].max() == 5
    assert OWN not in set(measured["space"])


def test_storage_keeps_what_its_bits_can():
    vectors = unit(np.random.default_rng(1).normal(size=(50, 6)))
    for bits, error in ((16, 1e-3), (8, 1e-2)):
        back = stored(vectors, bits)
        assert 0 < np.abs(back - vectors).max() < error


def test_nothing_to_ask_is_a_sentence(embeddings):
    frame = embeddings.manifest.frame.assign(labels=None)
    nothing = Embeddings(embeddings.vectors, Manifest.from_frame(frame), (), {})
    with pytest.raises(ManifestError, match="no label set"):
        measure_retrieval_spaces(nothing, None, SpacePlan(), encoder="tiny")


def test_the_section_shows_the_spaces_side_by_side(measured):
    section = retrieval_space_section(measured)
    (tables,) = section.blocks
    assert isinstance(tables, Tables)
    captions = [table.caption for table in tables.tables]
    assert captions[:2] == ["All modalities, given", "All modalities, unseen source"]
    assert f"By label set, {OWN}, given" in captions
    first = tables.tables[0]
    assert [row[1] for row in first.rows] == [FULL, OWN, *map(str, VARIANTS)]
    assert first.rows[0][-1].startswith("+0.000")
