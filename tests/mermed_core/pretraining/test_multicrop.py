import numpy as np
import torch

from mermed_core.models.preprocessing import Preprocessing, normalise, paper_normalisation, to_tensor
from mermed_core.pretraining.multicrop import ModalityNormaliser, MultiCrop
from mermed_core.pretraining.recipe import Views

PLAIN = Views(
    global_count=2,
    global_size=24,
    global_scale=(0.2, 1.0),
    local_count=3,
    local_size=12,
    local_scale=(0.05, 0.2),
    aspect=(0.75, 4 / 3),
    rotation=0.0,
    flip=0.0,
    jitter=(0.0, 0.0, 0.0, 0.0),
    jitter_probability=0.0,
    blur_sigma=(0.1, 1.0),
    blur_first=0.0,
    blur_other=0.0,
    blur_local=0.0,
)


def changed(**values):
    return MultiCrop(Views(**{**PLAIN.__dict__, **values}))


def picture(height=40, width=50, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_sizes_and_counts_are_the_recipes():
    large, small, params = MultiCrop(PLAIN)(picture(), 1)
    assert (large.shape, large.dtype) == ((2, 3, 24, 24), torch.uint8)
    assert (small.shape, small.dtype) == ((3, 3, 12, 12), torch.uint8)
    assert params.shape == (5, 7)
    large, small, params = changed(global_count=1, local_count=0)(picture(), 1)
    assert (large.shape, small.shape, params.shape) == ((1, 3, 24, 24), (0, 3, 12, 12), (1, 7))


def test_the_seed_alone_decides_and_other_chance_is_left_alone():
    views = changed(
        rotation=30.0, flip=0.5, jitter=(0.2, 0.2, 0.1, 0.02), jitter_probability=0.8, blur_local=0.5
    )
    torch.manual_seed(5)
    expected_next = torch.rand(3)
    torch.manual_seed(5)
    first = views(picture(), 11)
    assert torch.equal(torch.rand(3), expected_next)
    torch.rand(100)
    again, other = views(picture(), 11), views(picture(), 12)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0][0], first[0][1])


def corner_spread(views):
    """The share of the picture that a view shows, read off a horizontal and a vertical ramp."""
    ramp = np.zeros((200, 200, 3), np.uint8)
    ramp[..., 0] = np.arange(200)[None, :]
    ramp[..., 1] = np.arange(200)[:, None]
    shares = []
    for seed in range(40):
        for view in views(ramp, seed)[1]:
            width = (view[0].max() - view[0].min()).item() / 200
            height = (view[1].max() - view[1].min()).item() / 200
            shares.append(width * height)
    return shares


def test_the_area_of_a_crop_lies_in_its_scale():
    shares = corner_spread(changed(local_size=64, local_scale=(0.05, 0.2)))
    assert 0.03 < min(shares) < 0.08
    assert 0.15 < max(shares) < 0.22


def test_normalisation_is_that_of_serving():
    preprocessing = Preprocessing(24, modalities=paper_normalisation())
    keys = ("fundus", "ct")
    images = torch.stack([to_tensor(picture(24, 24, seed)) for seed in range(3)])
    modality = torch.tensor([1, 0, 1])
    views = ModalityNormaliser(preprocessing, keys)(images.expand(2, 3, 3, 24, 24) / 255, modality)
    for place, index in enumerate(modality.tolist()):
        expected = normalise(images[place].float() / 255, preprocessing.statistics(keys[index]))
        torch.testing.assert_close(views[:, place], expected.expand(2, 3, 24, 24), atol=1e-5, rtol=1e-5)
