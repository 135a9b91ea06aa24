import logging

import pytest
import torch

from mermed_core.device import choose_device, describe


def test_the_device_that_is_used_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        device = choose_device()
    assert f"torch runs on {describe(device)}" in caplog.text


def test_a_device_can_be_named(caplog):
    assert choose_device("cpu") == torch.device("cpu")


def test_without_a_gpu_it_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device().type == "cpu"


@pytest.mark.gpu
def test_with_a_gpu_it_is_the_gpu():
    assert choose_device().type == "cuda"
