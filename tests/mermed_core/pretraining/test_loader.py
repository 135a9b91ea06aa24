import numpy as np
import pytest
import torch

from mermed_core.errors import ManifestError
from mermed_core.pretraining.loader import ViewDataset, load_batches
from mermed_core.pretraining.multicrop import MultiCrop
from mermed_core.pretraining.sampler import BalancedSampler

KEYS = ("ct", "oct", "dermatology")


def batches(manifest, recipe, first=0, last=3, workers=0, epoch=0):
    modality = np.array([KEYS.index(key) for key in manifest.frame["modality"]])
    dataset = ViewDataset(manifest, modality, MultiCrop(recipe.views), seed=3, epoch=epoch)
    sampler = BalancedSampler(modality, batch=7, seed=3, epoch=epoch)
    return list(load_batches(dataset, sampler, range(first, last), workers=workers))


def test_a_batch_holds_views_by_view_and_the_modalities_of_the_sampler(manifest, smoke):
    loaded = batches(manifest, smoke())
    assert len(loaded) == 3
    assert loaded[0].global_views.shape == (2, 7, 3, 32, 32)
    assert loaded[0].local_views.shape == (2, 7, 3, 16, 16)
    assert [np.bincount(batch.modality).tolist() for batch in loaded] == [[3, 2, 2], [2, 3, 2], [2, 2, 3]]
    assert not any(batch.unreadable for batch in loaded)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_later_start_and_workers_give_the_same_views(manifest, smoke, workers):
    whole = batches(manifest, smoke())
    part = batches(manifest, smoke(), first=1, workers=workers)
    for expected, batch in zip(whole[1:], part, strict=True):
        assert torch.equal(batch.global_views, expected.global_views)
        assert torch.equal(batch.local_views, expected.local_views)
        assert torch.equal(batch.params, expected.params)
    filling = batches(manifest, smoke(), epoch=1)
    assert not torch.equal(filling[0].global_views, whole[0].global_views)


def test_an_image_twice_in_a_batch_has_different_views(make_manifest, smoke):
    batch = batches(make_manifest({"ct": 1}), smoke(), last=1)[0]
    views = batch.global_views[0]
    assert all(not torch.equal(views[0], view) for view in views[1:])


def test_broken_images_are_named_and_replaced_by_others_of_their_modality(make_manifest, smoke):
    # Rows 5 and 6 are the OCTs, rows 7 to 15 the skin; the last of the table is replaced by the first.
    manifest = make_manifest({"ct": 5, "oct": 2, "dermatology": 9}, broken=(0, 6, 15))
    loaded = batches(manifest, smoke(), last=6)
    named = {name for batch in loaded for name in batch.unreadable}
    assert named == {"made_up/000000", "made_up/000006", "made_up/000015"}
    assert all(reason for batch in loaded for reason in batch.unreadable.values())
    intact = batches(make_manifest({"ct": 5, "oct": 2, "dermatology": 9}), smoke(), last=6)
    for batch, expected in zip(loaded, intact, strict=True):
        assert torch.equal(batch.modality, expected.modality)
        same = [
            torch.equal(batch.global_views[:, place], expected.global_views[:, place]) for place in range(7)
        ]
        assert same.count(False) <= len(batch.unreadable) * 3
        assert same.count(True) >= 2


def test_a_modality_without_any_readable_image_stops_with_its_reason(make_manifest, smoke):
    with pytest.raises(ManifestError, match="made_up/000001"):
        batches(make_manifest({"ct": 1, "oct": 1}, broken=(1,)), smoke())
