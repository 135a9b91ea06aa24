import io
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mermed_core.data.manifest import Manifest
from mermed_core.data.sources.opener import open_manifest
from mermed_core.data.splits import split_by_group
from mermed_core.modalities import MODALITIES

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def manifest(mermed_data: Path) -> Manifest:
    return open_manifest(mermed_data)


def test_every_row_of_every_file_is_there(manifest: Manifest, mermed_data: Path):
    columns = ["modality", "source", "label", "group", "split", "width", "height"]
    files = sorted(mermed_data.glob("*.parquet"))
    stored = pd.concat([pd.read_parquet(file, columns=columns) for file in files], ignore_index=True)
    assert set(stored["modality"]) == set(MODALITIES)
    for column in ("modality", "source", "group", "split", "width", "height"):
        assert manifest.frame[column].tolist() == stored[column].tolist()
    assert manifest.frame["labels"].tolist() == [[label] for label in stored["label"]]
    assert manifest.frame["task"].tolist() == stored["source"].tolist()


def test_images_are_those_of_the_files(manifest: Manifest):
    for position in range(0, len(manifest), 500):
        source = manifest.image_source(position)
        assert isinstance(source, bytes)
        row = manifest.frame.iloc[position]
        assert Image.open(io.BytesIO(source)).size == (row["width"], row["height"])


def test_no_group_lies_in_two_splits(manifest: Manifest):
    splits = manifest.frame.groupby(["source", "group"])["split"].nunique()
    assert splits.max() == 1
    assert split_by_group(manifest) == manifest


def test_a_set_is_saved_and_read_back(mermed_data: Path, tmp_path: Path):
    busi = open_manifest(mermed_data / "busi.parquet")
    busi.save(tmp_path / "manifest.parquet")
    assert open_manifest(tmp_path) == busi
