"""Each operation on a batch against torchvision's on one image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode

from mermed_core.pretraining.augmentation import (
    Param,
    augment,
    blur,
    draw_params,
    jitter,
    rotate_and_flip,
    shift_hue,
)
from mermed_core.pretraining.recipe import Views

F = v2.functional
NONE = torch.tensor([0.0, 0, 1, 1, 1, 0, 0])
RECIPE = Views(
    global_count=2,
    global_size=24,
    global_scale=(0.2, 1.0),
    local_count=3,
    local_size=12,
    local_scale=(0.05, 0.2),
    aspect=(0.75, 4 / 3),
    rotation=30.0,
    flip=0.5,
    jitter=(0.2, 0.3, 0.1, 0.02),
    jitter_probability=0.8,
    blur_sigma=(0.1, 1.0),
    blur_first=1.0,
    blur_other=0.1,
    blur_local=0.5,
)


def images(count=4, height=20, width=20, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((count, 3, height, width), np.float32))


def close(ours, expected):
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("size", [(20, 20), (20, 28), (31, 20)])
@pytest.mark.parametrize("flipped", [False, True])
def test_rotation_and_flip(size, flipped):
    batch, degrees = images(4, *size), [-30.0, -3.0, 0.0, 17.0]
    turned = rotate_and_flip(batch, torch.deg2rad(torch.tensor(degrees)), torch.full((4,), float(flipped)))
    for image, angle, ours in zip(batch, degrees, turned, strict=True):
        expected = F.rotate(image, angle, interpolation=InterpolationMode.BILINEAR)
        close(ours, F.horizontal_flip(expected) if flipped else expected)


@settings(max_examples=30)
@given(factors=st.tuples(*[st.floats(0.5, 1.5)] * 3), hue=st.floats(-0.5, 0.5), seed=st.integers(0, 99))
def test_colours(factors, hue, seed):
    image = images(1, seed=seed)
    ours = jitter(image.clone(), torch.tensor([[0, 0, *factors, hue, 0]]))
    expected = F.adjust_brightness(image, factors[0])
    expected = F.adjust_contrast(expected, factors[1])
    expected = F.adjust_saturation(expected, factors[2])
    torch.testing.assert_close(ours, F.adjust_hue(expected, hue), atol=1e-4, rtol=0)


def test_grey_has_no_hue():
    grey = images(2)[:, :1].expand(-1, 3, -1, -1)
    close(shift_hue(grey, torch.tensor([0.3, -0.2])[:, None, None]), grey)


def test_blur():
    sigma = torch.tensor([0.15, 0.4, 0.9, 1.0])
    for image, width, ours in zip(images(), sigma.tolist(), blur(images(), sigma), strict=True):
        close(ours, F.gaussian_blur(image, [7, 7], [width, width]))


def test_a_batch_is_its_images_one_by_one_whatever_the_parts():
    batch = (images(30, 100, 100) * 255).to(torch.uint8)  # more than one part
    params = torch.stack([draw_params(RECIPE, torch.Generator().manual_seed(s))[0] for s in range(30)])
    together = augment(batch, params)
    assert together.dtype == torch.float32
    assert together.shape == batch.shape
    for place in range(30):
        close(together[place], augment(batch[place : place + 1], params[place : place + 1])[0])


def test_no_amounts_change_nothing():
    batch = (images() * 255).to(torch.uint8)
    close(augment(batch, NONE.expand(4, -1)), batch.float() / 255)
    assert augment(batch[:0], NONE.expand(0, -1)).shape == (0, 3, 20, 20)


def test_amounts_lie_in_the_ranges_of_the_recipe_and_come_as_often():
    drawn = torch.stack([draw_params(RECIPE, torch.Generator().manual_seed(s)) for s in range(600)])
    assert drawn.shape == (600, 5, len(Param))

    def column(amount):
        return drawn[:, :, amount]

    assert column(Param.ANGLE).abs().max() == pytest.approx(np.deg2rad(30), rel=0.01)
    assert column(Param.FLIP).mean() == pytest.approx(0.5, abs=0.03)
    for amount, strength in zip(
        (Param.BRIGHTNESS, Param.CONTRAST, Param.SATURATION), (0.2, 0.3, 0.1), strict=True
    ):
        values = column(amount)
        assert values.min() == pytest.approx(1 - strength, abs=0.01)
        assert values.max() == pytest.approx(1 + strength, abs=0.01)
        assert (values == 1).float().mean() == pytest.approx(0.2, abs=0.03)
    assert column(Param.HUE).abs().max() == pytest.approx(0.02, rel=0.02)
    blurred = (column(Param.SIGMA) > 0).float().mean(dim=0)
    assert blurred[0] == 1
    assert blurred[1:].tolist() == pytest.approx([0.1, 0.5, 0.5, 0.5], abs=0.06)
    sigma = column(Param.SIGMA)[:, 0]
    assert (sigma.min().item(), sigma.max().item()) == pytest.approx((0.1, 1.0), abs=0.01)
    assert torch.corrcoef(drawn[:, 0, [0, 2, 3, 4, 5, 6]].T).sub(torch.eye(6)).abs().max() < 0.2


def test_colour_is_never_lost():
    red = torch.zeros(40, 3, 8, 8, dtype=torch.uint8)
    red[:, 0] = 200
    params = torch.cat([draw_params(RECIPE, torch.Generator().manual_seed(s)) for s in range(8)])
    params[:, Param.ANGLE] = 0
    means = augment(red, params).mean(dim=(2, 3))
    assert (means[:, 0] > 2 * means[:, 1:].amax(dim=1)).all()
