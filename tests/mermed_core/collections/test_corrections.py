"""Records follow the table of their images: vectors, pictures, map, tags and notes stay with the image."""

from pathlib import Path

import pytest

from mermed_core.collections import store
from mermed_core.collections.annotations import read_annotations, tag_cases, write_note
from mermed_core.collections.collection import Collection
from mermed_core.collections.corrections import correct_cases, gone_from
from mermed_core.collections.folder import verify_folder
from mermed_core.collections.pictures import image_contents
from mermed_core.collections.store import build_collection, load_collection
from mermed_core.data.manifest import Manifest
from mermed_core.models.retrieval_space import RetrievalSpace


@pytest.fixture
def images(phantoms) -> Manifest:
    frame = phantoms.select(range(10)).frame.copy()
    frame["sex"] = ["f", "m"] * 5
    return Manifest.from_frame(frame)


@pytest.fixture
def folder(images, embedder, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(store, "SEGMENT_ROWS", 4)
    monkeypatch.setattr(store, "compute_map", lambda vectors, _: vectors[:, :2].copy())
    space = RetrievalSpace.identity(embedder.backbone.dim)
    place = tmp_path / "mine"
    options = {"space": space, "name": "Mine", "text": "", "synthetic": True, "keep": ["sex"]}
    build_collection(place, embedder, images, **options)
    return place


def kept(collection: Collection) -> list[tuple]:
    """Returns what an image keeps, whatever is said of it."""
    rows = range(len(collection))
    places = collection.coordinates.tolist()
    return [(collection.vectors[row].tobytes(), places[row], collection.thumbnail_at(row)) for row in rows]


def correct(folder: Path, manifest: Manifest) -> int:
    return correct_cases(folder, manifest, image_contents(manifest))


def test_what_a_table_says_now_is_what_the_collection_says(folder, images):
    before = load_collection(folder)
    segments = sorted(path.name for path in folder.glob("segment-*"))
    assert correct(folder, images) == 0
    frame = images.frame.copy()
    frame.at[1, "labels"] = ["another"]
    frame.loc[1, ["group", "sex", "split"]] = ["SOMEONE", "unknown", "test"]
    assert correct(folder, Manifest.from_frame(frame)) == 1
    after = load_collection(folder)
    changed = after.records.iloc[1]
    assert (list(changed["labels"]), *changed[["group", "sex", "split"]]) == (
        ["another"],
        "SOMEONE",
        "unknown",
        "test",
    )
    same = [row for row in range(10) if row != 1]
    assert after.records.iloc[same].astype(str).equals(before.records.iloc[same].astype(str))
    assert kept(after) == kept(before)
    assert verify_folder(folder)[1] == []
    left = sorted(path.name for path in folder.glob("segment-*"))
    assert len(set(left) & set(segments)) == 2  # of three: the others are not written again
    assert correct(folder, Manifest.from_frame(frame)) == 0


def test_names_of_files_that_were_not_to_be_kept_are_not_kept_later(folder, images):
    """A hospital's file names may say who the patient is."""
    named = Manifest.from_frame(images.frame.assign(file=[f"Doe_Jane_{row}.png" for row in range(10)]))
    assert correct(folder, named) == 0
    assert set(load_collection(folder).records["file"]) == {""}


def test_a_row_put_in_moves_names_and_tags_with_the_images(folder, images):
    names = list(images.frame["case_id"])
    tag_cases(folder, "odd", names[:2])
    write_note(folder, names[8], "why?")
    before = load_collection(folder)
    frame = images.select(range(9)).frame.copy()
    frame["case_id"] = names[1:]  # as in a table whose rows have no names of their own
    manifest = Manifest.from_frame(frame)
    assert gone_from(folder, manifest, image_contents(manifest)) == ([names[9]], 10)
    assert correct(folder, manifest) == 9
    after = load_collection(folder)
    assert list(after.records["case_id"][:9]) == names[1:]
    assert kept(after) == kept(before)
    written = read_annotations(folder)
    assert written.tags == {"odd": frozenset(names[1:3])}
    assert written.notes == {names[9]: "why?"}


def test_an_image_of_another_modality_is_another(folder, images):
    frame = images.frame.copy()
    frame["modality"] = [*frame["modality"][:9], "oct" if frame["modality"][9] != "oct" else "ct"]
    manifest = Manifest.from_frame(frame)
    assert gone_from(folder, manifest, image_contents(manifest))[0] == [frame["case_id"][9]]
