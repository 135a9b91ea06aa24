"""Images of none of the seven modalities: what comes with packages, what is drawn, what is read."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mermed_core.data import unknown_images as module
from mermed_core.data.unknown_images import read_unknown, unknown_images, unknown_medical
from mermed_core.errors import ManifestError


@pytest.fixture(scope="module")
def images():
    return unknown_images(3)


def test_there_are_about_two_hundred_of_every_kind_and_all_can_be_embedded(images):
    counts = {kind: len(pictures) for kind, pictures in images.items()}
    assert 180 <= sum(counts.values()) <= 220
    assert min(counts.values()) >= 3
    for pictures in images.values():
        for pixels in pictures:
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3
            assert min(pixels.shape[:2]) >= 32


def test_no_two_are_the_same(images):
    everything = [pixels.tobytes() for pictures in images.values() for pixels in pictures]
    assert len(set(everything)) == len(everything)


def test_the_seed_decides(monkeypatch):
    few = {kind: names[:1] for kind, names in module._PICTURES.items()}
    monkeypatch.setattr(module, "_PICTURES", few)
    monkeypatch.setattr(module, "_DRAWN", 2)
    monkeypatch.setattr(module, "_CROPS", 2)
    images, again, other = (unknown_images(seed) for seed in (3, 3, 4))
    for kind, pictures in images.items():
        for first, second in zip(pictures, again[kind], strict=True):
            np.testing.assert_array_equal(first, second)
    assert not np.array_equal(images["solid colours"][0], other["solid colours"][0])


def test_documents_have_ink_on_paper(images):
    for pixels in images["documents"][2:]:
        colours, counts = np.unique(pixels @ (1, 256, 65536), return_counts=True)
        assert len(colours) > 2
        assert 0.5 < counts.max() / counts.sum() < 0.99


def test_the_medical_images_are_mr_and_each_is_there_once(tmp_path, make_dicom):
    values = np.random.default_rng(0).integers(0, 200, (2, 40, 40), dtype=np.uint8)
    for name, picture, modality in (("a", 0, "MR"), ("b", 0, "MR"), ("c", 1, "MR"), ("d", 1, "CT")):
        (tmp_path / f"{name}.dcm").write_bytes(make_dicom(values[picture], Modality=modality))
    (tmp_path / "e.dcm").write_bytes(b"no DICOM file")
    (tmp_path / "f.dcm").write_bytes(make_dicom(values[0], Modality="MR")[:-900])
    assert len(unknown_medical(tmp_path)) == 2
    assert 1 <= len(unknown_medical()) <= 9


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels_of(seed)).save(buffer, "PNG")
    return buffer.getvalue()


def pixels_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)


def check(found: dict[str, list[np.ndarray]], **expected: list[int]) -> None:
    assert set(found) == set(expected)
    for kind, seeds in expected.items():
        for pixels, seed in zip(found[kind], seeds, strict=True):
            np.testing.assert_array_equal(pixels, pixels_of(seed))


def write(path: Path, images: list[bytes], labels: list[str], *, struct: bool) -> Path:
    values = [{"bytes": image, "path": "x.png"} for image in images] if struct else images
    pq.write_table(pa.table({"image": values, "label": labels, "other": [1] * len(labels)}), path)
    return path


@pytest.mark.parametrize("struct", [True, False])
def test_a_table_names_the_kind_of_each_image(tmp_path, struct):
    path = write(tmp_path / "a.parquet", [png(0), png(1), png(2)], ["cats", "dogs", "cats"], struct=struct)
    check(read_unknown(path), cats=[0, 2], dogs=[1])


def test_a_folder_of_tables_is_read_whole(tmp_path):
    write(tmp_path / "b.parquet", [png(1)], ["cats"], struct=False)
    write(tmp_path / "a.parquet", [png(0), png(2)], ["cats", "dogs"], struct=True)
    (tmp_path / "SOURCES.md").write_text("of what is here")
    check(read_unknown(tmp_path), cats=[0, 1], dogs=[2])


def test_a_folder_of_folders_is_a_kind_each(tmp_path):
    for kind, seeds in (("cats", [0, 1]), ("dogs", [2]), ("empty", [])):
        (tmp_path / kind).mkdir()
        for seed in seeds:
            (tmp_path / kind / f"{seed}.png").write_bytes(png(seed))
    (tmp_path / "cats" / "more").mkdir()
    (tmp_path / "README.md").write_text("of what is here")
    check(read_unknown(tmp_path), cats=[0, 1], dogs=[2])


def test_a_broken_image_is_left_out_and_logged(tmp_path, caplog):
    path = write(tmp_path / "a.parquet", [png(0), b"nothing"], ["cats", "cats"], struct=True)
    check(read_unknown(path), cats=[0])
    assert "left out" in caplog.text
    write(path, [png(0), b"nothing"], ["cats", "dogs"], struct=False)
    check(read_unknown(path), cats=[0])


def test_nothing_that_can_be_read_is_a_sentence(tmp_path):
    for made in (
        write(tmp_path / "broken.parquet", [b"nothing"], ["cats"], struct=False),
        write(tmp_path / "empty.parquet", [], [], struct=False),
    ):
        with pytest.raises(ManifestError, match="no image of an unknown kind"):
            read_unknown(made)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ManifestError, match="no image of an unknown kind"):
        read_unknown(tmp_path / "bare")


def test_what_is_no_table_of_images_is_a_sentence(tmp_path):
    text = tmp_path / "text.parquet"
    text.write_text("not a table")
    table = tmp_path / "other.parquet"
    pq.write_table(pa.table({"image": [png(0)]}), table)
    numbers, paths = tmp_path / "numbers.parquet", tmp_path / "paths.parquet"
    pq.write_table(pa.table({"image": [1, None], "label": ["cats", "cats"]}), numbers)
    pq.write_table(pa.table({"image": [{"path": "cat.png"}], "label": ["cats"]}), paths)
    for path in (text, table, numbers, paths, tmp_path / "missing.parquet"):
        with pytest.raises(ManifestError, match=path.name):
            read_unknown(path)
