"""A folder without a manifest: what it seems to be is said, and what can be done."""

import shlex
import shutil
from pathlib import Path

import pytest

from mermed_core.collections.no_manifest import check_place
from mermed_core.collections.store import load_collection
from mermed_core.errors import NoCollectionError, OccupiedError
from mermed_core.files import BUNDLED_COLLECTION


def refused(folder: Path) -> tuple[str, str]:
    """Returns what is said of opening a folder and of writing a collection there."""
    with pytest.raises(NoCollectionError) as opening:
        load_collection(folder)
    with pytest.raises(OccupiedError) as writing:
        check_place(folder)
    return str(opening.value), str(writing.value)


def test_parts_of_a_collection_are_called_so_with_the_commands_that_help(tmp_path):
    folder = shutil.copytree(BUNDLED_COLLECTION, tmp_path / "my collection")
    (folder / "manifest.json").unlink()
    opening, writing = refused(folder)
    assert opening == writing
    assert "holds parts of a collection but no manifest.json" in opening
    commands = opening.partition("build the collection again: ")[2]
    moves, builds = (shlex.split(command) for command in commands.split("&&"))
    assert moves == ["mv", str(folder), f"{folder}.damaged"]
    assert builds == ["mermed", "collect", "--data", "PATH_OF_THE_IMAGES", "--out", str(folder)]
    folder.rename(moves[2])
    check_place(folder)  # so that the second command is not refused


def test_a_folder_of_images_is_named_as_what_a_collection_is_made_of(tmp_path):
    (tmp_path / "images" / "ct").mkdir(parents=True)
    (tmp_path / "images" / "ct" / "SCAN.PNG").write_bytes(b"")
    opening, writing = refused(tmp_path / "images")
    assert "it holds images, such as 'ct/SCAN.PNG'" in opening
    assert f"mermed collect --data {tmp_path}/images --out {tmp_path}/images.collection" in opening
    assert "would be lost: it holds images, such as 'ct/SCAN.PNG'" in writing


def test_a_folder_of_other_files_and_a_file_are_what_they_are(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("")
    opening, writing = refused(tmp_path / "thesis")
    assert "it holds other files, such as 'chapter.tex'" in opening
    assert "it holds other files, such as 'chapter.tex'" in writing
    opening, writing = refused(tmp_path / "thesis" / "chapter.tex")
    assert "is a file" in opening
    assert "is a file" in writing


def test_a_place_that_is_free_is_no_collection_yet(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        check_place(folder)
        with pytest.raises(NoCollectionError, match=r"There is no collection in .*; make one"):
            load_collection(folder)
    check_place(BUNDLED_COLLECTION)
