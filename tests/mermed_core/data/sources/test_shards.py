"""Shards: packed, read by us and by WebDataset, from disk and from a store, and packing that goes on."""

import io
import json
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import cast

import fsspec
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from webdataset.compat import WebDataset
from webdataset.writer import ShardWriter

from mermed_core.config import read_recipe
from mermed_core.data.manifest import Manifest
from mermed_core.data.phantoms import phantom_manifest
from mermed_core.data.pseudonyms import pseudonym
from mermed_core.data.sources import shard_writer
from mermed_core.data.sources.opener import open_manifest
from mermed_core.data.sources.shard_writer import pack, plan_shards
from mermed_core.data.sources.shards import read_shards
from mermed_core.errors import DamagedImageError, ManifestError, OccupiedError
from mermed_core.imaging.reader import read_image
from mermed_core.pretraining.loader import Request, ViewDataset
from mermed_core.pretraining.multicrop import MultiCrop
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.sampler import BalancedSampler, shards_of


@pytest.fixture(scope="module")
def images():
    return phantom_manifest(5, 0)


@pytest.fixture
def shards(images, tmp_path):
    pack(images, "abc", tmp_path / "shards", images_per_shard=2)
    return tmp_path / "shards"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_image_is_once_in_a_shard_of_its_modality(images):
    plan = plan_shards(images, images_per_shard=2, seed=0)
    assert sorted(row for shard in plan for row in shard.rows) == list(range(len(images)))
    modality = images.frame["modality"]
    for shard in plan:
        assert {modality[row] for row in shard.rows} == {shard.name.rpartition("-")[0]}
        assert len(shard.rows) <= 2
    other = plan_shards(images, images_per_shard=2, seed=1)
    assert [shard.rows for shard in plan] != [shard.rows for shard in other]


@pytest.mark.parametrize("spec", ["{}", "shards:{}"])
def test_what_was_packed_is_read_back(images, shards, spec):
    packed = open_manifest(spec.format(shards))
    assert len(packed) == len(images)
    frame = packed.frame.set_index("case_id")
    for row, case_id in enumerate(images.frame["case_id"]):
        place = packed.frame.index[packed.frame["case_id"] == case_id][0]
        assert packed.image_source(place) == images.image_source(row)
        for column in ("modality", "labels", "task", "task_kind", "group", "split", "source"):
            assert frame.loc[case_id, column] == images.frame[column][row]


def test_webdataset_reads_them(images, shards):
    urls = sorted(map(str, shards.glob("*.tar")))
    samples = list(WebDataset(urls, shardshuffle=False))
    assert len(samples) == len(images)
    by_id = {json.loads(sample["json"])["case_id"]: sample for sample in samples}
    for row, case_id in enumerate(images.frame["case_id"]):
        assert by_id[case_id]["png"] == images.image_source(row)
        assert json.loads(by_id[case_id]["json"])["modality"] == images.frame["modality"][row]


def png(seed):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_shards_that_webdataset_wrote_are_listed_from_their_headers(tmp_path):
    with ShardWriter(str(tmp_path / "part-%03d.tar"), maxcount=2, verbose=0) as writer:
        for number in range(5):
            facts = {"modality": ("ct", "OCT")[number % 2], "labels": [f"class {number}"], "width": 9}
            writer.write({"__key__": f"case.{number}".replace(".", "_"), "png": png(number), "json": facts})
    opened = read_shards(str(tmp_path))
    assert opened.frame["modality"].tolist() == ["ct", "oct", "ct", "oct", "ct"]
    assert [opened.image_source(row) for row in range(5)] == [png(number) for number in range(5)]
    assert opened.frame["labels"].tolist() == [[f"class {number}"] for number in range(5)]


def test_the_modality_can_be_named_where_the_shards_do_not(tmp_path):
    with ShardWriter(str(tmp_path / "part-%03d.tar"), verbose=0) as writer:
        writer.write({"__key__": "a", "jpg": b"one"})
    with pytest.raises(ManifestError, match="modality"):
        read_shards(str(tmp_path))
    opened = open_manifest(f"shards:{tmp_path}?modality=cxr")
    assert opened.frame["modality"].tolist() == ["cxr"]
    assert opened.image_source(0) == b"one"


def write_tar(file, members):
    with tarfile.open(file, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


CXR = json.dumps({"modality": "cxr", "patient_id": 7.0, "label": " 1.0 "}).encode()


def test_every_image_of_a_tar_is_listed_whatever_its_name(tmp_path):
    gif = io.BytesIO()
    Image.new("L", (4, 4)).save(gif, "GIF", save_all=True, append_images=[Image.new("L", (4, 4), 200)])
    write_tar(
        tmp_path / "a.tar",
        [
            *(("22.05.png", png(0)), ("22.05.json", CXR)),
            *(("1.2.840.113.1", png(1)), ("1.2.840.113.1.json", CXR)),
            *(("d.1/0.left.JPG", png(2)), ("d.1/0.right.jpg", png(3)), ("d.1/0.json", CXR)),
            *(("1.png", png(4)), ("1.webp", png(5)), ("1.json", CXR)),
            *(("film.gif", gif.getvalue()), ("film.json", CXR), ("film.cls", b"3")),
        ],
    )
    opened = read_shards(str(tmp_path))
    names = [
        "22.05",
        "1.2.840.113.1",
        "d.1/0.left",
        "d.1/0.right",
        "1.png",
        "1.webp",
        "film/0000",
        "film/0001",
    ]
    assert opened.frame["case_id"].tolist() == [f"a/{name}" for name in names]
    assert [opened.image_source(row) for row in range(6)] == [png(number) for number in range(6)]
    assert opened.read_image(7).frame == 1
    assert opened.frame["group"].tolist() == [pseudonym("7")] * 8
    assert opened.frame["labels"].tolist() == [["1"]] * 6 + [["3"]] * 2
    assert opened.left_out == {}


def test_images_of_one_sample_are_one_group_and_keep_its_name(tmp_path):
    facts = json.dumps({"modality": "cxr", "case_id": "case 9"}).encode()
    write_tar(tmp_path / "a.tar", [("0.left.png", png(0)), ("0.right.png", png(1)), ("0.json", facts)])
    frame = read_shards(str(tmp_path)).frame
    assert frame["case_id"].tolist() == ["case 9/left.png", "case 9/right.png"]
    assert frame["group"].tolist() == ["a/0", "a/0"]
    assert frame["source"].tolist() == [tmp_path.name] * 2


def test_what_is_no_image_of_a_shard_is_counted(tmp_path):
    members = [
        ("a.png", png(0)),
        ("a.png", png(1)),
        ("a.json", CXR),
        ("a.seg.png", png(2)),
        ("a.txt", b"text"),
    ]
    write_tar(tmp_path / "a.tar", [*members, ("b.json", CXR), ("__MACOSX/._a.png", b"x")])
    for name in ("b.tar.gz", "README.md", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    opened = read_shards(str(tmp_path))
    assert opened.image_source(0) == png(1)
    assert opened.left_out == {
        "members that a later one of the same name replaces": 1,
        "masks beside their images": 1,
        "files that are no images": 1,
        "JSON or .cls members without an image": 1,
        "hidden files and folders": 2,
        "compressed tars (unpack them)": 1,
        "files and folders beside the shards": 2,
    }


def test_packing_keeps_what_was_left_out_and_takes_one_frame_of_several(tmp_path):
    buffer = io.BytesIO()
    pages = [Image.new("L", (4, 4), value) for value in (0, 100, 200)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    table = pd.DataFrame({"image": [buffer.getvalue(), b"broken"], "frame": [2, 0]})
    manifest = Manifest.from_frame(
        table.assign(modality="ct", source="set"), left_out={"unreadable": 2, "films": 3}, notes=["A note."]
    )
    pack(manifest, "abc", tmp_path / "s", images_per_shard=3)
    write_tar(tmp_path / "s" / "late.tar", [("a.png", png(0))])
    opened = read_shards(str(tmp_path / "s"))
    assert opened.left_out == {"unreadable": 3, "films": 3, "shards that index.parquet does not list": 1}
    assert opened.notes == ("A note.",)
    image = opened.read_image(0)
    assert (image.frames, image.pixels[0, 0, 0]) == (1, 200)


@pytest.mark.parametrize("with_index", [True, False])
def test_shards_on_an_object_store(images, shards, tmp_path, monkeypatch, with_index):
    monkeypatch.setenv("MERMED_CACHE", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    for path in [*shards.glob("*.tar"), *shards.glob("index.parquet" if with_index else "none")]:
        system.pipe(f"/bucket/set/{path.name}", path.read_bytes())
    try:
        opened = open_manifest("shards:memory://bucket/set")
        assert len(opened) == len(images)
        assert opened.frame["path"].str.startswith("memory://bucket/set/").all()
        expected = {images.frame["case_id"][row]: images.image_source(row) for row in range(len(images))}
        if with_index:
            sources = {opened.frame["case_id"][row]: opened.image_source(row) for row in range(len(opened))}
            assert sources == expected
            opened.save(tmp_path / "copy.parquet")
            assert Manifest.load(tmp_path / "copy.parquet").image_source(3) == opened.image_source(3)
    finally:
        system.store.clear()


def test_packing_goes_on_where_it_was_killed_and_ends_in_the_same_bytes(images, tmp_path, monkeypatch):
    pack(images, "abc", tmp_path / "whole", images_per_shard=2)
    write, written = shard_writer.write_shard, []

    def killed(manifest, shard, folder):
        if len(written) == 4:
            (folder / f".{shard.name}.tar.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(shard.name)
        return write(manifest, shard, folder)

    monkeypatch.setattr(shard_writer, "write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        pack(images, "abc", tmp_path / "parts", images_per_shard=2)
    assert not (tmp_path / "parts" / "index.parquet").exists()
    monkeypatch.setattr(shard_writer, "write_shard", write)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").glob("*.tar")}
    assert len(before) == 4
    pack(images, "abc", tmp_path / "parts", images_per_shard=2, workers=2)
    assert all(path.stat().st_mtime_ns == written for path, written in before.items())
    (parts, whole) = (contents(tmp_path / name) for name in ("parts", "whole"))
    assert {k: v for k, v in parts.items() if k.suffix != ".partial"} == whole


def test_another_set_or_a_foreign_folder_is_refused(images, shards, tmp_path):
    with pytest.raises(OccupiedError, match="other images or numbers"):
        pack(images, "other", shards, images_per_shard=2)
    with pytest.raises(OccupiedError, match="other images or numbers"):
        pack(images, "abc", shards, images_per_shard=3)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").touch()
    with pytest.raises(OccupiedError, match="something else"):
        pack(images, "abc", tmp_path / "mine", images_per_shard=2)


def test_broken_images_are_left_out_and_named(images, tmp_path, caplog):
    frame = images.frame.copy()
    frame.at[0, "image"] = b"broken"
    packed = pack(Manifest.from_frame(frame), "abc", tmp_path / "s", images_per_shard=3)
    assert list(packed.unreadable) == [frame["case_id"][0]]
    assert packed.images == len(images) - 1
    assert frame["case_id"][0] in caplog.text
    frame["image"] = b"broken"
    with pytest.raises(ManifestError, match="not one image"):
        pack(Manifest.from_frame(frame), "abc", tmp_path / "t", images_per_shard=3)


def test_dicom_is_packed_as_pixels_without_its_header(tmp_path):
    path = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    table = Manifest.from_frame(
        phantom_manifest(1, 0).frame.iloc[:1].assign(image=None, path=str(path), case_id="x")
    )
    pack(table, "abc", tmp_path / "s", images_per_shard=3)
    opened = read_shards(str(tmp_path / "s"))
    data = cast(bytes, opened.image_source(0))
    assert data[:4] == b"\x89PNG"
    assert (read_image(data).pixels == read_image(path).pixels).all()
    shard = next((tmp_path / "s").glob("*.tar")).read_bytes()
    assert b"CompressedSamples" not in shard  # the patient's name


def test_a_cut_off_shard_is_a_damaged_image_and_a_damaged_folder_a_sentence(shards):
    opened = read_shards(str(shards))
    last = opened.frame["path"].iloc[-1]
    with open(last, "r+b") as file:
        file.truncate(700)
    with pytest.raises(DamagedImageError, match="cut off"):
        opened.image_source(len(opened) - 1)
    (shards / "index.parquet").unlink()
    with tarfile.open(shards / "zz.tar", "w") as tar:
        info = tarfile.TarInfo("a.json")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"nope"))
    with pytest.raises(ManifestError):
        read_shards(str(shards))
    with pytest.raises(ManifestError, match="cannot be read"):
        read_shards(str(shards / "none"))


def test_training_reads_the_same_views_and_few_shards_at_a_time(images, shards):
    opened = read_shards(str(shards))
    views = read_recipe(Recipe, Path(__file__).parents[4] / "train" / "recipes" / "smoke.toml").views
    modality = np.zeros(len(opened), int)
    row = 3
    original = int(images.frame.index[images.frame["case_id"] == opened.frame["case_id"][row]][0])
    packed, plain = (
        ViewDataset(table, modality, MultiCrop(views), seed=1)[Request(0, 0, place)]
        for table, place in ((opened, row), (images, original))
    )
    assert (packed.global_views == plain.global_views).all()
    keys = sorted(set(opened.frame["modality"]))
    index = np.array([keys.index(key) for key in opened.frame["modality"]])
    shard = shards_of(opened)
    assert shard is not None
    sampler = BalancedSampler(index, batch=7, seed=0, shard=shard, mixed_shards=1)
    rows = np.concatenate([sampler.batch(step) for step in range(5)])
    assert sorted(rows) == list(range(len(opened)))  # one cycle: every image once
    for key in range(7):
        order = [shard[row] for row in rows if index[row] == key]
        changes = sum(first != second for first, second in pairwise(order))
        assert changes == len(set(order)) - 1  # a shard is read to its end before the next


def test_a_member_that_tells_too_much_or_is_not_all_there_is_not_read(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, sparse in (("a.png", False), ("b.png", True)):
            info = tarfile.TarInfo(name)
            info.size = len(png(0))
            if sparse:  # a hole of 4 bytes, then all bytes
                info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1"}
                info.pax_headers |= {"GNU.sparse.map": f"4,{len(png(0))}", "GNU.sparse.numblocks": "1"}
                info.pax_headers |= {"GNU.sparse.size": str(len(png(0)) + 4)}
            tar.addfile(info, io.BytesIO(png(0)))
    opened = read_shards(str(tmp_path), "cxr")
    assert opened.frame["case_id"].tolist() == ["a/a"]
    assert opened.left_out == {"links and sparse files in tars": 1}
    write_tar(tmp_path / "a.tar", [("a.png", png(0)), ("a.json", b'"' + b" " * (1 << 20) + b'"')])
    with pytest.raises(ManifestError, match="what is said of one image has at most"):
        read_shards(str(tmp_path), "cxr")
