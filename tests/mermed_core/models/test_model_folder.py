import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from mermed_core.errors import ModelError
from mermed_core.files import BUNDLED_ATLAS, BUNDLED_COLLECTION, BUNDLED_MODEL
from mermed_core.models.heads import HEADS_FOLDER
from mermed_core.models.model_folder import (
    CARD,
    CONFIG,
    WEIGHTS,
    fingerprint,
    load_config,
    load_model,
    read_card,
)
from mermed_core.models.retrieval_space import load_retrieval_space


@pytest.fixture
def folder(encoder_folder, tmp_path):
    shutil.copytree(encoder_folder, tmp_path / "model")
    return tmp_path / "model"


def test_a_model_comes_back_as_it_was(folder, embedder):
    backbone, config = load_model(folder)
    images = torch.randn(2, 3, 48, 48)
    with torch.inference_mode():
        assert torch.equal(backbone(images), embedder.backbone(images))
    assert config == embedder.config
    assert not backbone.training


def test_the_fingerprint_changes_with_weights_and_preprocessing_and_not_with_words(folder):
    before = fingerprint(folder)
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"name": "other", "licence": "other"}))
    assert fingerprint(folder) == before
    config["preprocessing"]["resize"] = "pad"
    (folder / CONFIG).write_text(json.dumps(config))
    changed = fingerprint(folder)
    assert changed != before
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    assert fingerprint(folder) != changed


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"format": 1}', b"\xff\xfe"])
def test_a_damaged_config_is_a_sentence(folder, content):
    (folder / CONFIG).write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_config(folder)


def test_a_config_of_format_1_with_its_old_keys_is_read(folder, embedder):
    config = json.loads((folder / CONFIG).read_text()) | {"format": 1, "stages": 3, "focus": 0.1}
    del config["pooled_stages"], config["centre_sigma"]
    (folder / CONFIG).write_text(json.dumps(config))
    assert load_config(folder) == replace(embedder.config, pooled_stages=3, centre_sigma=0.1)


@pytest.mark.parametrize("folder", [BUNDLED_COLLECTION, BUNDLED_ATLAS], ids=lambda folder: folder.name)
def test_the_bundled_model_has_the_fingerprint_that_its_collections_carry(folder):
    carried = json.loads((folder / "manifest.json").read_text())["fingerprint"]
    assert fingerprint(BUNDLED_MODEL) == "89b91abb8f30228a"
    space = load_retrieval_space(BUNDLED_MODEL / HEADS_FOLDER, 3168)
    assert carried == space.fingerprint(fingerprint(BUNDLED_MODEL))
    assert space.dim == 256


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"centre_sigma": "wide"}, "centre_sigma"),
        ({"pooled_stages": -1}, "pooled_stages"),
        ({"pooled": 3}, "pooled"),
        ({"preprocessing": {"image_size": 48, "resize": "stretch"}}, "preprocessing.resize"),
        ({"preprocessing": {"image_size": 48, "neutral": [[0.5], [0.5]]}}, "preprocessing.neutral.0"),
    ],
)
def test_a_config_that_is_not_valid_names_the_key(folder, change, key):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=f"damaged: {key}: "):
        load_config(folder)


def test_a_newer_format_is_named(folder):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"format": 3}))
    with pytest.raises(ModelError, match="format 3"):
        load_model(folder)


def test_a_missing_model_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="no model"):
        load_model(tmp_path)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_damaged_weights_are_a_sentence(folder, keep):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:keep])
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder)


def test_weights_of_another_network_are_refused(folder):
    save_file({"a": torch.zeros(2)}, folder / WEIGHTS)
    with pytest.raises(ModelError, match="do not fit"):
        load_model(folder)


@pytest.mark.timeout(120)
def test_killed_while_it_is_replaced_the_previous_model_stays(folder):
    before = fingerprint(folder)
    program = textwrap.dedent(f"""
        import time
        from pathlib import Path
        import mermed_core.models.model_folder as model_folder
        from mermed_core.files import write_folder
        folder = Path({str(folder)!r})
        backbone, config = model_folder.load_model(folder)
        for tensor in backbone.encoder.state_dict().values():
            tensor.zero_()
        with write_folder(folder) as staging:
            model_folder.save_model(staging, backbone, config)
            print("written", flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)
    assert fingerprint(folder) == before
    load_model(folder)


def test_a_model_without_its_weights_is_a_sentence(folder):
    (folder / WEIGHTS).unlink()
    for read in (fingerprint, load_model):
        with pytest.raises(ModelError, match="cannot be read"):
            read(folder)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("---\nlicense: apache-2.0\n---\n\n# Title\n\nText\n", "# Title\n\nText"),
        ("# Title\n", "# Title"),
        (None, ""),
    ],
)
def test_the_card_is_read_without_its_settings(tmp_path, written, read):
    if written is not None:
        (tmp_path / CARD).write_text(written, encoding="utf-8")
    assert read_card(tmp_path) == read
