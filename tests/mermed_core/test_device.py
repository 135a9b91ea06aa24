import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from mermed_core.device import choose_device, compute_on, describe, one_core_for_small


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


@pytest.mark.parametrize(
    ("parameters", "chosen", "threads"), [(10**6, "", 1), (10**8, "", 3), (10**6, "3", 3)]
)
def test_a_small_encoder_keeps_to_one_core_unless_the_host_chose(monkeypatch, parameters, chosen, threads):
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    torch.set_num_threads(3)
    try:
        one_core_for_small(parameters)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("cores", [1, 3])
def test_a_thread_that_keeps_to_some_cores_leaves_the_others_theirs(cores):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(2, initializer=compute_on, initargs=(cores,)) as pool:
            together = Barrier(2)
            own = list(pool.map(lambda _: (together.wait(60), torch.get_num_threads())[1], range(2)))
        with ThreadPoolExecutor(1) as later:
            assert (own, later.submit(torch.get_num_threads).result()) == ([cores, cores], 2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
