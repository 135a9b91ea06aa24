"""Layer decay and weight decay, parameter by parameter, against their definition."""

import pytest
import timm
import torch
from torch import nn

from mermed_core.models.param_groups import layer_decay_groups


def groups_by_parameter(encoder, head, **options):
    groups = layer_decay_groups(encoder, head, **options)
    found = {id(p): (group["lr_scale"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in groups)  # none twice
    assert groups[-1]["params"][-1] is head.weight  # the encoder's come first
    return found


def test_the_rate_of_a_vit_falls_by_the_decay_from_block_to_block():
    encoder, head = timm.create_model("test_vit", num_classes=0), nn.Linear(64, 2)
    found = groups_by_parameter(encoder, head, layer_decay=0.5, weight_decay=0.3)
    assert set(found) == {id(p) for p in (*encoder.parameters(), *head.parameters())}
    depth = len(encoder.get_submodule("blocks"))  # pyright: ignore[reportArgumentType]
    for name, parameter in encoder.named_parameters():
        layer = int(name.split(".")[1]) + 1 if name.startswith("blocks.") else 0
        layer = depth if name.startswith("norm.") else layer  # timm counts it to the last block
        decay = 0.0 if parameter.ndim <= 1 or name in ("pos_embed", "cls_token") else 0.3
        assert found[id(parameter)] == (pytest.approx(0.5 ** (depth - layer)), decay), name
    assert (found[id(head.weight)], found[id(head.bias)]) == ((1.0, 0.3), (1.0, 0.0))


def test_an_encoder_that_is_not_timms_counts_as_one_layer():
    encoder, head = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), nn.Linear(4, 2)
    found = groups_by_parameter(encoder, head, layer_decay=0.5, weight_decay=1.0)
    assert len({scale for scale, _ in (found[id(p)] for p in encoder.parameters())}) == 1
    assert torch.optim.AdamW(layer_decay_groups(encoder, head, layer_decay=0.5, weight_decay=1.0))
