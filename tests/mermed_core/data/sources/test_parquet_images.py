"""Images by name: the names are those of `read_parquet`, the bytes come from the table when asked for."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mermed_core.data.sources.parquet_files import read_parquet
from mermed_core.data.sources.parquet_images import ParquetImages
from mermed_core.errors import DamagedImageError, ManifestError


def write(place: Path, images: list, group: int = 3, **columns: list) -> Path:
    table = pa.table({"image": images, "modality": ["ct"] * len(images), **columns})
    place.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, place, row_group_size=group)
    return place


def agree(place: Path) -> None:
    """Compares names and bytes with those of the reader of whole tables."""
    images, frame = ParquetImages(place), read_parquet(place).frame
    assert images.names["case_id"].tolist() == frame["case_id"].tolist()
    expected = frame["file"].tolist() if "file" in frame else [""] * len(frame)
    assert images.names["file"].tolist() == expected
    for row, (image, path) in enumerate(zip(frame["image"], frame["path"], strict=True)):
        assert images.encoded(row) == (Path(path) if image is None else image)


@pytest.mark.parametrize("group", [1, 2, 3, 100])
def test_every_row_of_several_tables_is_found(tmp_path, group):
    structs = [{"bytes": b"%d" % row, "path": f"{row}.png"} for row in range(7)]
    write(tmp_path / "b.parquet", structs, group)
    write(tmp_path / "a.parquet", [b"plain", b"bytes"], group)
    write(tmp_path / "train-00000-of-00001.parquet", structs[:2], group)
    agree(tmp_path)
    agree(tmp_path / "b.parquet")


def test_own_names_and_paths_are_those_of_the_reader(tmp_path):
    write(tmp_path / "a.parquet", [{"bytes": None, "path": "x/1.png"}, {"bytes": b"2", "path": None}])
    write(tmp_path / "b.parquet", [b"1", b"2"], file=["one", None], case_id=["p", "q"])
    agree(tmp_path)


def test_a_saved_manifest_is_read_too(tmp_path):
    write(tmp_path / "a.parquet", [{"bytes": b"1", "path": "1.png"}, {"bytes": None, "path": "2.png"}])
    read_parquet(tmp_path / "a.parquet").save(tmp_path / "saved" / "m.parquet")
    images = ParquetImages(tmp_path / "saved" / "m.parquet")
    assert images.names["file"].tolist() == ["1.png", "2.png"]
    assert images.encoded(0) == b"1"
    found = images.encoded(1)
    assert isinstance(found, Path)
    assert found.resolve() == (tmp_path / "2.png").resolve()


def test_what_is_no_table_of_images_is_a_sentence(tmp_path):
    with pytest.raises(ManifestError, match="holds no parquet file"):
        ParquetImages(tmp_path)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(ManifestError, match="'image'"):
        ParquetImages(tmp_path)


def test_a_table_that_went_away_or_shrank_is_a_sentence(tmp_path):
    file = write(tmp_path / "a.parquet", [b"1", b"2"])
    images = ParquetImages(file)
    write(file, [b"1"])
    with pytest.raises(DamagedImageError, match="no image in row 1"):
        images.encoded(1)
    gone = ParquetImages(file)
    file.unlink()
    with pytest.raises(DamagedImageError, match="can no longer be read"):
        gone.encoded(0)


@pytest.mark.data
def test_the_names_of_real_tables_are_those_of_the_reader(mermed_data):
    for file in sorted(mermed_data.glob("*.parquet")):
        images, frame = ParquetImages(file), read_parquet(file).frame
        assert images.names["case_id"].tolist() == frame["case_id"].tolist()
        assert images.names["file"].tolist() == frame["file"].tolist()
        assert images.encoded(len(frame) - 1) == frame["image"].iloc[-1]
