"""Pictures from outside: found by name, believed by checksum only, looked for place by place."""

import io
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mermed_core.collections import pictures
from mermed_core.collections.pictures import Pictures, Wanted, picture_checksum, small_pictures
from mermed_core.collections.store import build_collection, load_collection
from mermed_core.data.sources.opener import open_manifest
from mermed_core.data.sources.shard_writer import pack
from mermed_core.errors import ManifestError
from mermed_core.imaging.thumbnails import THUMBNAIL_SIDE
from mermed_core.models.retrieval_space import RetrievalSpace


def png(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def table(file: Path, images: list[bytes], names: list[str], group: int = 2) -> Path:
    rows = [{"bytes": image, "path": name} for image, name in zip(images, names, strict=True)]
    columns = {"image": rows, "modality": ["ct"] * len(rows), "source": ["scans"] * len(rows)}
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file, row_group_size=group)
    return file


def wanted(image: bytes, case_id: str = "nobody", file: str = "", frame: int = 0) -> Wanted:
    return Wanted(case_id, file, frame, picture_checksum(image))


def shape(thumbnail: bytes | None) -> tuple[int, int] | None:
    return None if thumbnail is None else Image.open(io.BytesIO(thumbnail)).size


IMAGES = [png(seed, (40 + seed, 30)) for seed in range(5)]
NAMES = [f"case ({seed}).png" for seed in range(5)]


@pytest.fixture
def scans(tmp_path):
    return table(tmp_path / "data" / "scans.parquet", IMAGES, NAMES)


@pytest.mark.parametrize("by", ["id", "file"])
def test_a_table_gives_each_case_its_picture(scans, by):
    for place in (scans, scans.parent):
        pictures = Pictures([place])
        for row, image in enumerate(IMAGES):
            case_id, file = (f"scans/{row:06d}", "") if by == "id" else ("nobody", NAMES[row])
            assert shape(pictures.thumbnail(wanted(image, case_id, file))) == (40 + row, 30)
    assert pictures.thumbnail(wanted(IMAGES[0], "scans/000099", "other.png")) is None


def test_a_picture_can_be_had_in_full_and_is_not_larger_than_is_looked_at(scans, tmp_path):
    pictures = Pictures([scans])
    whole = pictures.whole(wanted(IMAGES[2], "scans/000002"))
    assert whole is not None
    with Image.open(io.BytesIO(whole)) as shown, Image.open(io.BytesIO(IMAGES[2])) as image:
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(image))
    assert pictures.whole(wanted(IMAGES[0], "scans/000099", "other.png")) is None
    large = png(9, (3000, 12))
    place = table(tmp_path / "large.parquet", [large], ["large.png"])
    assert shape(Pictures([place]).whole(wanted(large, file="large.png"))) == (2048, 8)


def test_names_are_read_and_no_image_until_one_is_asked_for(scans, monkeypatch):
    read = []
    group = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda self, number, **options: (read.append(number), group(self, number, **options))[1],
    )
    pictures = Pictures([scans])
    assert read == []
    for _ in range(2):
        pictures.thumbnail(wanted(IMAGES[3], "scans/000003"))
    pictures.thumbnail(wanted(IMAGES[2], "scans/000002"))
    assert read == [1]  # both lie in the same group, and what was shown is kept


def test_another_image_under_the_name_is_not_shown_and_said_once(scans, caplog):
    pictures = Pictures([scans])
    with caplog.at_level(logging.WARNING):
        for row in (0, 1):
            assert pictures.thumbnail(wanted(png(9), f"scans/{row:06d}")) is None
    assert len(caplog.records) == 1
    assert "not the one that the collection was made from" in caplog.text


def test_of_several_images_of_one_name_the_right_one_is_taken(tmp_path):
    file = table(tmp_path / "scans.parquet", IMAGES, ["same.png"] * 5)
    pictures = Pictures([file])
    for row, image in enumerate(IMAGES):
        assert shape(pictures.thumbnail(wanted(image, file="same.png"))) == (40 + row, 30)


def test_the_first_place_that_has_it_provides_it(scans, tmp_path):
    folder = tmp_path / "folder" / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / NAMES[1]).write_bytes(IMAGES[1])
    (folder / NAMES[0]).write_bytes(png(77))
    pictures = Pictures([tmp_path / "folder", scans])
    for row in (0, 1):
        assert shape(pictures.thumbnail(wanted(IMAGES[row], file=NAMES[row]))) == (40 + row, 30)
    scans.unlink()
    assert shape(pictures.thumbnail(wanted(IMAGES[1], file=NAMES[1]))) == (41, 30)
    again = Pictures([tmp_path / "folder"])
    assert shape(again.thumbnail(wanted(IMAGES[1], file=NAMES[1]))) == (41, 30)
    assert again.thumbnail(wanted(IMAGES[0], file=NAMES[0])) is None


def test_a_place_that_comes_back_is_asked_again(scans, tmp_path):
    pictures = Pictures([scans])
    away = scans.rename(tmp_path / "away")
    assert pictures.thumbnail(wanted(IMAGES[0], "scans/000000")) is None
    away.rename(scans)
    assert shape(pictures.thumbnail(wanted(IMAGES[0], "scans/000000"))) == (40, 30)


def test_shards_and_saved_manifests_are_places_too(scans, tmp_path):
    manifest = open_manifest(scans)
    pack(manifest, "made", tmp_path / "shards", images_per_shard=3)
    manifest.save(tmp_path / "saved.parquet")
    for place in (tmp_path / "shards", tmp_path / "saved.parquet"):
        pictures = Pictures([place])
        assert shape(pictures.thumbnail(wanted(IMAGES[4], "scans/000004"))) == (44, 30)


def test_a_table_of_paths_is_a_place_too(tmp_path):
    (tmp_path / "a.png").write_bytes(IMAGES[0])
    pq.write_table(
        pa.table({"image": [{"bytes": None, "path": "a.png"}], "modality": ["ct"]}),
        tmp_path / "scans.parquet",
    )
    pictures = Pictures([tmp_path / "scans.parquet"])
    assert shape(pictures.thumbnail(wanted(IMAGES[0], "scans/000000"))) == (40, 30)


def test_a_frame_of_an_image_is_that_frame(tmp_path):
    frames = [Image.new("RGB", (32, 32), (value, 0, 0)) for value in (10, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:])
    file = table(tmp_path / "scans.parquet", [buffer.getvalue()], ["two.tiff"])
    cases = open_manifest(file).frame
    assert cases["case_id"].tolist() == ["scans/000000/0000", "scans/000000/0001"]
    picture = Pictures([file]).thumbnail(wanted(buffer.getvalue(), "scans/000000/0001", frame=1))
    assert picture is not None
    assert abs(int(np.asarray(Image.open(io.BytesIO(picture)))[..., 0].mean()) - 200) < 5


def test_a_place_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.parquet").write_bytes(b"no table")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "text.parquet")
    for name, sentence in {
        "nowhere": "no file or folder",
        "empty": "holds no image",
        "wrong.parquet": "cannot be read",
        "text.parquet": "'image'",
    }.items():
        with pytest.raises(ManifestError, match=sentence):
            Pictures([tmp_path / name])


def test_a_collection_without_pictures_takes_them_from_where_they_are(embedder, scans, tmp_path, monkeypatch):
    manifest = open_manifest(scans)
    monkeypatch.setattr("mermed_core.collections.store.compute_map", lambda vectors, _: vectors[:, :2].copy())
    space = RetrievalSpace.identity(embedder.backbone.dim)
    options = {"space": space, "name": "n", "text": "", "synthetic": False}
    build_collection(tmp_path / "c", embedder, manifest, pictures=False, **options)
    build_collection(tmp_path / "own", embedder, manifest, **options)
    bare, own = load_collection(tmp_path / "c"), load_collection(tmp_path / "own")
    shown = load_collection(tmp_path / "c", pictures=Pictures([scans.parent]))
    assert (bare.has_pictures, shown.has_pictures, own.has_pictures) == (False, True, True)
    for case_id in manifest.frame["case_id"]:
        assert bare.thumbnail(case_id) is None
        assert shown.thumbnail(case_id) == own.thumbnail(case_id)
    large = table(tmp_path / "large" / "scans.parquet", [png(1, (400, 300))], ["large.png"])
    thumbnail = Pictures([large]).thumbnail(wanted(png(1, (400, 300)), "scans/000000"))
    assert max(shape(thumbnail) or ()) == THUMBNAIL_SIDE


def test_making_small_pictures_shows_how_far_it_is_and_what_was_made_is_not_made_again(phantoms, monkeypatch):
    shown: list[int] = []

    class Bar:
        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            shown.append(-1)

        def update(self) -> None:
            shown.append(1)

    asked: list[tuple[str, str, int]] = []

    def bar(what: str, unit: str, *, total: int) -> Bar:
        asked.append((what, unit, total))
        return Bar()

    monkeypatch.setattr(pictures, "progress_bar", bar)
    some = phantoms.select(range(3))
    made = list(small_pictures(some, ()))
    assert asked == [("making small pictures (images are read again)", "picture", 3)]
    assert shown == [1, 1, 1, -1]
    assert list(small_pictures(some, made)) == made
    assert len(asked) == 1
