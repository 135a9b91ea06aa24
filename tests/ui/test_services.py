import shutil

import pytest

from app.services import ASSETS, load_services
from mermed_core.errors import ModelError


def test_the_bundled_model_and_collection_are_the_default(services):
    assert services.predictor.collection is not None
    assert services.predictor.collection.synthetic
    assert services.missing_collection == ""


def test_without_a_collection_the_page_still_classifies(tmp_path):
    services = load_services({"MERMED_COLLECTION": str(tmp_path / "none")})
    assert services.predictor.collection is None
    assert "build_collection" in services.missing_collection


def test_a_damaged_collection_is_not_loaded_and_said(tmp_path):
    folder = tmp_path / "collection"
    shutil.copytree(ASSETS / "collection", folder)
    (folder / "vectors.npy").write_bytes(b"damaged")
    services = load_services({"MERMED_COLLECTION": str(folder)})
    assert services.predictor.collection is None
    assert "damaged" in services.missing_collection


def test_without_a_model_there_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="model"):
        load_services({"MERMED_MODEL": str(tmp_path)})
