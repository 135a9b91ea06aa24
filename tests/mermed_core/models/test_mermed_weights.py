"""The published checkpoint, on one of its layout made here: never run, loaded whole or not at all."""

import argparse
import contextlib
import logging
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torchvision.transforms import v2

from mermed_core.errors import ModelError
from mermed_core.models.backbone import Backbone
from mermed_core.models.mermed_weights import official_config, official_encoder
from mermed_core.models.preprocessing import IMAGENET, paper_normalisation
from mermed_core.models.pretrained import load_weights, start_backbone
from mermed_core.models.safe_pickle import read_torch_file

SMALL = "test_vit"


def plain(name=SMALL, **options) -> Any:
    torch.manual_seed(3)
    return timm.create_model(name, num_classes=0, **options).eval()


def checkpoint(vit):
    """A training checkpoint as the authors' scripts save it."""
    teacher = {f"module.backbone.{name}": tensor for name, tensor in vit.state_dict().items()}
    head = {"module.head.mlp.0.weight": torch.ones(4, 3), "module.head.last_layer.bias": torch.ones(4)}
    student = {name: tensor + 1 for name, tensor in teacher.items()}
    moments = {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}}
    return {
        "student": {**student, **head},
        "teacher": {**teacher, **head},
        "optimizer": {"state": moments, "param_groups": [{"lr": 5e-5, "betas": (0.9, 0.999)}]},
        "memory_bank": {"bank": torch.zeros(8, 4), "labels": torch.zeros(8)},
        "epoch": 50,
        "args": argparse.Namespace(
            arch="vit_base", lr=5e-5, output_dir=Path("/some/where"), opts=np.float64(1)
        ),
        "fp16_scaler": {"scale": 65536.0},
    }


@pytest.fixture
def saved(tmp_path):
    def save(value):
        torch.save(value, tmp_path / "MerMED.pth")
        return tmp_path / "MerMED.pth"

    return save


@pytest.mark.parametrize(("name", "size"), [(SMALL, 160), ("vit_tiny_patch16_224", 224)])
def test_the_embedding_is_that_of_a_plain_timm_vit(saved, name, size):
    vit = plain(name)
    path = saved(checkpoint(vit))
    backbone = start_backbone(name, str(path), image_size=size).eval()
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = vit.forward_features(images)[:, 0]  # the class token after the last norm
        torch.testing.assert_close(backbone(images), expected, atol=1e-5, rtol=1e-5)
    assert all(
        torch.equal(tensor, vit.state_dict()[key]) for key, tensor in backbone.encoder.state_dict().items()
    )


def test_the_report_says_what_went_where(saved, caplog):
    caplog.set_level(logging.INFO)
    vit = plain()
    report = load_weights(Backbone(SMALL, image_size=160).encoder, saved(checkpoint(vit)))
    count = len(vit.state_dict())
    assert (report.taken_from, report.taken) == ("teacher/module.backbone", count)
    assert report.left_out == {
        "teacher besides": 2,
        "student": count + 2,
        "optimizer": 2,
        "memory_bank": 2,
        "epoch": 0,
        "args": 0,
        "fp16_scaler": 0,
    }
    assert (
        f"{count} tensors loaded from teacher/module.backbone; left out: teacher besides (2)" in caplog.text
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda teacher: teacher.pop("module.backbone.norm.weight"), "lacks norm.weight"),
        (lambda teacher: teacher.update({"module.backbone.extra": torch.ones(1)}), "has extra"),
        (lambda teacher: teacher.update({"module.backbone.norm.weight": torch.ones(3)}), "norm.weight"),
        (lambda teacher: teacher.update({"module.backbone.norm.weight": [1.0]}), "no tensor"),
    ],
)
def test_a_checkpoint_that_does_not_fit_exactly_changes_nothing(saved, change, message):
    value = checkpoint(plain())
    change(value["teacher"])
    encoder = Backbone(SMALL, image_size=160).encoder
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(ModelError, match=message):
        load_weights(encoder, saved(value))
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())


class Hostile:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("function", [os.system, subprocess.getoutput, eval, exec])
def test_nothing_in_the_pickle_is_executed(tmp_path, function, modern):
    mark = tmp_path / "executed"
    python = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    hostile = Hostile(function, python if function in (eval, exec) else f"touch {mark}")
    value = {**checkpoint(plain()), "args": hostile}
    torch.save(value, tmp_path / "x.pth", _use_new_zipfile_serialization=modern)
    with contextlib.suppress(ModelError):  # to refuse it is as good as to read the rest
        encoder, _ = official_encoder(read_torch_file(tmp_path / "x.pth"))
        assert len(encoder) == len(plain().state_dict())
    assert not mark.exists()
    hostile.call[0](*hostile.call[1])
    assert mark.exists()  # the file would have done it


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "backbone.", "module.backbone."])
def test_prefixes_of_wrappers_are_taken_off(tmp_path, prefix):
    vit = plain()
    torch.save({prefix + name: tensor for name, tensor in vit.state_dict().items()}, tmp_path / "w.pth")
    encoder = start_backbone(SMALL, str(tmp_path / "w.pth"), image_size=160).encoder.state_dict()
    assert all(torch.equal(tensor, encoder[name]) for name, tensor in vit.state_dict().items())


def test_imagenets_statistics_and_a_squash_to_224_go_with_the_weights(saved):
    _, report = official_encoder(checkpoint(plain()))
    preprocessing = official_config("imagenet", report).preprocessing
    pixels = np.random.default_rng(0).integers(0, 256, (300, 410, 3), dtype=np.uint8)
    apply = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize((224, 224), interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(IMAGENET[0]), list(IMAGENET[1])),
        ]
    )
    for modality in ("ct", "dermatology", None):
        torch.testing.assert_close(preprocessing(pixels, modality), apply(pixels).as_subclass(torch.Tensor))
    own = official_config("modality", report).preprocessing
    assert own.statistics("fundus") == paper_normalisation()["fundus"]


@pytest.mark.parametrize(
    ("start", "message"),
    [("hub:only/two", "hub:OWNER/NAME/FILE"), ("hub:nobody/nothing/x.pth", "give its path")],
)
def test_a_file_that_the_hub_does_not_give_is_a_sentence(monkeypatch, start, message):
    def fail(*_):
        raise OSError("no network")

    monkeypatch.setattr("mermed_core.models.pretrained.hf_hub_download", fail)
    with pytest.raises(ModelError, match=message):
        start_backbone(SMALL, start, image_size=160)


def test_a_file_of_the_hub_is_loaded(monkeypatch, saved):
    path = saved(checkpoint(plain()))
    requested = []
    monkeypatch.setattr(
        "mermed_core.models.pretrained.hf_hub_download", lambda *place: requested.append(place) or str(path)
    )
    start_backbone(SMALL, "hub:youngzhou12/MerMED/MerMED.pth", image_size=160)
    assert requested == [("youngzhou12/MerMED", "MerMED.pth")]
