"""Labels of several sources that mean the same, and the part of the body that a source shows."""

import re

import numpy as np
import pandas as pd
import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError
from mermed_core.fitting.datasets import read_datasets
from mermed_core.fitting.label_sets import JoinedLabelSet, LabelSets, read_label_sets
from mermed_core.modalities import MODALITY_KEYS

IMAGES = {
    "oct_a": ("oct", ["normal", "dme", "drusen", None]),
    "oct_b": ("oct", ["healthy", "dme"]),
    "hole": ("oct", ["large", "odd"]),
    "lung": ("ct", ["tumour", "none"]),
    "mixed": ("ct", ["chest", "head", ["chest", "head"]]),
}


def manifest(images: dict = IMAGES) -> Manifest:
    rows = [
        {
            "case_id": f"{source}/{row}",
            "image": b"",
            "source": source,
            "modality": modality,
            "labels": label if label is None or isinstance(label, list) else [label],
            "split": "train",
            "task_kind": "multilabel" if source == "mixed" else "multiclass",
        }
        for source, (modality, labels) in images.items()
        for row, label in enumerate(labels)
    ]
    return Manifest.from_frame(pd.DataFrame(rows))


MACULA = JoinedLabelSet(
    modality="oct",
    region="macula",
    classes={
        "normal": ("oct_a:normal", "oct_b:healthy"),
        "dme": ("oct_a:dme", "oct_b:dme"),
        "cnv": ("oct_a:cnv",),
    },
)
HOLE = JoinedLabelSet(
    modality="oct", region="macula", classes={"hole": ("hole:large",), "no hole": ("oct_b:healthy",)}
)
SETS = LabelSets(
    sets={"macula": MACULA, "hole": HOLE},
    regions={"lung": "chest", "mixed:head": "head", "mixed": "body", "oct_a:drusen": "drawn"},
)


def shown(labelled) -> dict:
    frame = manifest().frame
    return {
        each.label_set.task: dict(zip(frame["case_id"].iloc[each.rows], each.labels, strict=True))
        for each in labelled
    }


def test_images_of_several_sources_are_in_one_set_under_common_names():
    found = SETS.labelled(manifest())
    assert [each.label_set.task for each in found] == ["macula", "hole", "lung", "mixed"]
    images = shown(found)
    # An image can be in two sets; those of a joined source that no set names are in none.
    assert images["macula"] == {
        "oct_a/0": ["normal"],
        "oct_a/1": ["dme"],
        "oct_b/0": ["normal"],
        "oct_b/1": ["dme"],
    }
    assert images["hole"] == {"oct_b/0": ["no hole"], "hole/0": ["hole"]}


def test_a_source_that_is_joined_nowhere_is_a_set_by_itself():
    found = SETS.labelled(manifest())
    images = shown(found)
    assert images["lung"] == {"lung/0": ["tumour"], "lung/1": ["none"]}
    assert images["mixed"] == {"mixed/0": ["chest"], "mixed/1": ["head"], "mixed/2": ["chest", "head"]}
    assert {each.label_set.task: each.label_set.kind for each in found}["mixed"] == "multilabel"
    alone = {each.label_set.task for each in LabelSets().labelled(manifest())}
    assert alone == set(IMAGES)


def test_classes_keep_their_order_and_those_without_images_are_left_out():
    classes = {each.label_set.task: each.label_set.classes for each in SETS.labelled(manifest())}
    assert classes["macula"] == ("normal", "dme")
    assert classes["hole"] == ("hole", "no hole")


def test_a_set_without_images_is_no_set():
    only_lung = manifest({"lung": IMAGES["lung"]})
    assert [each.label_set.task for each in SETS.labelled(only_lung)] == ["lung"]


def test_a_set_of_a_single_class_joins_nothing():
    found = SETS.labelled(manifest({"hole": ("oct", ["large", "small"]), "oct_a": ("oct", ["dme"])}))
    assert [(each.label_set.task, each.labels) for each in found] == [
        ("hole", [["large"], ["small"]]),
        ("oct_a", [["dme"]]),
    ]


def test_a_set_that_mixes_modalities_is_refused():
    across = LabelSets(
        sets={
            "odd": JoinedLabelSet(
                modality="ct", region="x", classes={"a": ("lung:none",), "b": ("oct_a:dme",)}
            )
        }
    )
    with pytest.raises(ManifestError, match="'odd' mixes the modalities oct, ct") as raised:
        across.labelled(manifest())
    assert raised.value.column == "task"


def test_regions_are_those_of_the_label_the_source_or_the_set():
    regions = dict(zip(manifest().frame["case_id"], SETS.regions_of(manifest()).tolist(), strict=True))
    assert regions["lung/0"] == "chest"
    assert (regions["mixed/0"], regions["mixed/1"], regions["mixed/2"]) == ("body", "head", "body")
    assert (regions["oct_a/0"], regions["oct_a/2"], regions["oct_a/3"]) == ("macula", "drawn", "macula")
    assert set(LabelSets().regions_of(manifest())) == {""}


def test_facts_are_as_those_of_a_source():
    joined = JoinedLabelSet(modality="ct", region="chest", classes={}, title="Lung", names={"x": "y"})
    assert LabelSets(sets={"lung": joined}).facts() == {
        "lung": {"title": "Lung", "caveat": "", "names": {"x": "y"}}
    }


def test_the_shipped_file_is_well_formed():
    shipped = read_label_sets()
    sources = set(read_datasets())
    for name, each in shipped.sets.items():
        assert each.modality in MODALITY_KEYS
        assert each.region, name
        assert each.title, name
        assert len(each.classes) >= 2, name
        assert set(each.names) <= set(each.classes), name
        labels = [label for labels in each.classes.values() for label in labels]
        assert len(labels) == len(set(labels)), name
        assert all(re.fullmatch(r"[a-z0-9_]+:[a-z0-9_]+", label) for label in labels), name
        assert set(each.sources) <= sources, name
    stated = {key.partition(":")[0] for key in shipped.regions}
    assert stated <= sources
    assert all(re.fullmatch(r"[a-z0-9_]+(:[a-z0-9_]+)?", key) for key in shipped.regions)
    assert all(shipped.regions.values())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read as TOML"),
        (b"[sets\n", "cannot be read as TOML"),
        (b"\xff\xfe", "cannot be read as TOML"),
        (b"[sets.lung]\nmodality = 'ct'\nregion = 'chest'\n", "sets.lung.classes"),
        (b"[sets.lung]\nmodalty = 'ct'\nregion = 'chest'\nclasses = {}\n", "sets.lung.modality"),
        (b"[set]\n", "set"),
    ],
)
def test_a_file_that_states_something_else_is_a_sentence(tmp_path, content, problem):
    path = tmp_path / "sets.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ManifestError, match=re.escape(problem)) as raised:
        read_label_sets(path)
    assert str(path) in str(raised.value)


def test_a_file_is_read_as_it_states(tmp_path):
    path = tmp_path / "sets.toml"
    path.write_text(
        "[sets.lung]\nmodality = 'ct'\nregion = 'chest'\n[sets.lung.classes]\nsick = ['b:x', 'a:y']\n"
        "[regions]\n'c:head' = 'head'\n"
    )
    found = read_label_sets(path)
    assert found.sets["lung"].sources == ("a", "b")
    assert found.regions == {"c:head": "head"}
    np.testing.assert_array_equal(found.regions_of(manifest()), [""] * len(manifest()))
