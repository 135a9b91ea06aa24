"""A collection comes back as it was, or is refused; a killed build leaves the previous one."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image

from mermed_core.collection import INDEX, MANIFEST, MAP, RECORDS, VECTORS, load_collection
from mermed_core.data.phantoms import phantom_manifest
from mermed_core.embed import embed_manifest
from mermed_core.errors import CollectionError


@pytest.fixture
def folder(collection_folder, tmp_path):
    shutil.copytree(collection_folder, tmp_path / "collection")
    return tmp_path / "collection"


def test_a_collection_comes_back_whole(collection_folder, embedder):
    collection = load_collection(collection_folder)
    expected = embed_manifest(embedder, phantom_manifest(6, seed=1))
    assert collection.cases == tuple(expected.manifest.cases())
    np.testing.assert_allclose(collection.vectors, expected.vectors, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(collection.vectors, axis=1), 1, atol=1e-5)
    assert collection.coordinates.shape == (len(collection), 2)
    assert (collection.name, collection.description, collection.synthetic) == ("Tiny", "Drawn.", True)
    assert collection.fingerprint == embedder.fingerprint
    for case in collection.cases:
        assert Image.open(io.BytesIO(collection.thumbnail(case.case_id))).format == "JPEG"
    assert collection.index.search(collection.vectors[3:4], 1)[1][0, 0] == 3


def test_filters_are_those_of_a_plain_loop(collection_folder):
    collection = load_collection(collection_folder)
    for modalities in (frozenset(), frozenset({"ct", "oct"})):
        for labels in (frozenset(), frozenset({"synthetic normal"}), frozenset({"no such label"})):
            expected = [
                i
                for i, case in enumerate(collection.cases)
                if (not modalities or case.modality in modalities)
                and (not labels or set(case.labels) & labels)
            ]
            assert list(collection.matching(modalities=modalities, labels=labels)) == expected
    group = collection.cases[0].group
    left = collection.matching(without_group=group)
    assert all(collection.cases[i].group != group for i in left)
    assert len(left) == sum(case.group != group for case in collection.cases)


def test_what_occurs_is_listed_sorted(collection_folder):
    collection = load_collection(collection_folder)
    assert collection.modalities() == tuple(sorted({case.modality for case in collection.cases}))
    assert "synthetic normal" in collection.labels()
    assert all(source.startswith("phantom_") for source in collection.sources())


def test_an_unknown_case_is_a_sentence(collection_folder):
    with pytest.raises(CollectionError, match="no case 'nothing'"):
        load_collection(collection_folder).case("nothing")


@pytest.mark.parametrize("file", [RECORDS, VECTORS, INDEX, MAP])
@pytest.mark.parametrize("harm", ["changed", "cut", "missing"])
def test_a_damaged_file_is_refused_by_its_name(folder, file, harm):
    path = folder / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if harm != "missing":
        path.write_bytes(bytes(data) if harm == "changed" else bytes(data[:-1]))
    with pytest.raises(CollectionError, match=file):
        load_collection(folder)


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"format": 99}'])
def test_a_damaged_manifest_is_refused(folder, content):
    (folder / MANIFEST).write_text(content)
    with pytest.raises(CollectionError, match="build"):
        load_collection(folder)


def test_a_newer_format_is_refused(folder):
    stated = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(stated | {"format": 99}))
    with pytest.raises(CollectionError, match="format"):
        load_collection(folder)


def test_no_collection_says_how_to_make_one(tmp_path):
    with pytest.raises(CollectionError, match=r"train\.build_collection"):
        load_collection(tmp_path / "none")


@pytest.mark.timeout(120)
def test_killed_while_it_is_replaced_the_previous_collection_stays(folder, encoder_folder):
    """The real step, stopped by SIGKILL at its last write."""
    before = load_collection(folder)
    program = textwrap.dedent(f"""
        import sys, time
        import mermed_core.collection as collection
        from train.build_collection import main
        write = collection.write_json
        def stop(path, value):
            write(path, value)
            print("written", flush=True)
            time.sleep(60)
        collection.write_json = stop
        main(["--model", {str(encoder_folder)!r}, "--data", "phantoms:2", "--out", {str(folder)!r}])
    """)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)
    after = load_collection(folder)
    assert after.cases == before.cases
    np.testing.assert_array_equal(after.vectors, before.vectors)
