import numpy as np
import pytest

from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.errors import CollectionError
from mermed_core.inference.comparison import compare
from mermed_core.inference.predictor import MedicalImage


@pytest.fixture
def image() -> MedicalImage:
    return MedicalImage(draw_phantom("oct", FINDINGS["oct"][0], size=96, seed=3).pixels, 1, 0, "PNG", ())


def test_an_image_beside_its_nearest_case(predictor, image):
    embedding = predictor.embed(image, modality="oct")
    nearest = predictor.similar(embedding, count=1)[0]
    found = compare(predictor, image, embedding, nearest.case.case_id)
    assert found.case == nearest.case
    assert found.similarity == pytest.approx(nearest.similarity, abs=0.01)
    assert found.heat.shape == image.pixels.shape[:2]
    assert found.picture is not None
    assert found.case_heat is not None
    assert found.case_heat.shape == found.picture.shape[:2]
    for match in found.matches:
        assert all(0 <= share <= 1 for share in (*match.image, *match.case))
        assert -1 <= match.similarity <= 1


def test_an_image_matches_itself_region_by_region(predictor):
    collection = predictor.collection
    case_id = collection.cases_at([0])[0].case_id
    picture = predictor.read(collection.thumbnail(case_id))
    embedding = predictor.embed(picture, modality=collection.case(case_id).modality)
    found = compare(predictor, picture, embedding, case_id)
    assert found.matches
    for match in found.matches:
        assert match.image == match.case
        assert match.similarity == pytest.approx(1, abs=1e-4)
    assert found.case_heat is not None
    np.testing.assert_allclose(found.heat, found.case_heat, atol=0.15)


def test_a_direction_leads_towards_its_case(predictor, image):
    """Moving an embedding along it makes the image more similar to the case, and nothing does so faster."""
    embedding = predictor.embed(image, modality="oct")
    vector = predictor.retrieval_vector(predictor.collection.cases_at([5])[0].case_id)
    direction = predictor.direction(vector)
    assert direction.shape == embedding.vector.shape
    space = predictor.parts.space
    moved = space.project((embedding.vector + 1e-2 * direction / np.linalg.norm(direction))[None])[0]
    assert moved @ vector > embedding.retrieval @ vector


def test_a_case_that_is_not_there_is_said(predictor, image):
    with pytest.raises(CollectionError, match="no case"):
        compare(predictor, image, predictor.embed(image), "nothing")


def test_regions_lie_where_the_encoder_saw_them(predictor):
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[60:, 90:] = 255
    image = MedicalImage(pixels, 1, 0, "PNG", ())
    features, middles = predictor.regions(image, predictor.embed(image))
    assert len(features) == len(middles)
    assert ((middles > 0) & (middles < 1)).all()
    differs = np.linalg.norm(features - np.median(features, axis=0), axis=1)
    assert (middles[differs.argmax()] > 0.4).all()
