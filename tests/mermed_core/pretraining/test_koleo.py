import math

import numpy as np
import pytest
import torch

from mermed_core.pretraining.koleo import koleo


def embeddings(views=2, batch=6, dim=4, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(views, batch, dim)))


def plain(views):
    """−log of the distance to the nearest other image of the same view, image by image."""
    terms = []
    for view in views.numpy():
        points = [point / np.linalg.norm(point) for point in view]
        for i, point in enumerate(points):
            nearest = min(np.linalg.norm(point - other) for j, other in enumerate(points) if i != j)
            terms.append(-math.log(nearest))
    return np.mean(terms)


def test_equals_the_plain_sum():
    assert koleo(embeddings()).item() == pytest.approx(plain(embeddings()), abs=1e-6)


def test_its_gradient_drives_neighbours_apart_and_equal_ones_do_not_break_it():
    close = torch.tensor([[[1.0, 0.01], [1.0, -0.01], [-1.0, 0.0]]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(koleo(close), close)
    assert gradient[0, 0, 1] < 0 < gradient[0, 1, 1]
    same = torch.ones(1, 3, 2, requires_grad=True)
    value = koleo(same)
    (gradient,) = torch.autograd.grad(value, same)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


def test_half_precision_is_widened_first():
    near = torch.nn.functional.normalize(torch.tensor([[[1.0, 0.0], [1.0, 2e-3], [0.0, 1.0]]]), dim=-1)
    assert koleo(near.to(torch.bfloat16)).dtype == torch.float32
    assert koleo(near).item() == pytest.approx((2 * -math.log(2e-3) - math.log(2**0.5)) / 3, rel=1e-2)


def test_shares_of_two_ranks_have_the_mean_of_the_whole():
    whole = embeddings(batch=6)
    shares = []
    for rank in range(2):
        views = iter(whole)
        own = whole[:, rank * 3 : rank * 3 + 3]
        shares.append(
            koleo(own, lambda _, views=views: torch.nn.functional.normalize(next(views), dim=-1), rank)
        )
    assert np.mean([share.item() for share in shares]) == pytest.approx(koleo(whole).item(), abs=1e-9)
