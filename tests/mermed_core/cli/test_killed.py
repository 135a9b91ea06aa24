"""Commands that are killed or terminated: what stood there before stays, and the same command goes on.

Each runs as a process of its own: a fork of one that has imported what takes seconds.
"""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mermed_core.cli import main, serve
from mermed_core.collections.store import load_collection
from mermed_core.inference.predictor import Predictor
from mermed_core.models import embedder, embedding_blocks, fitted_parts
from mermed_core.models.ood import OODDetector
from mermed_core.pretraining.run_folder import read_log
from mermed_core.settings import VARIABLES

_IMPORTED = [
    "mermed_core.pretraining.pretrainer",
    "mermed_core.inference.predictor",
    "mermed_core.fitting.model_fit",
]
_PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module")
def start() -> Callable[..., BaseProcess]:
    """Starts a command; `before` runs in its process first, its stderr goes to a file."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)

    def run(errors: Path, *arguments: str, before: Callable[[], None] | None = None) -> BaseProcess:
        process = context.Process(target=_run, args=(errors, arguments, before))
        process.start()
        return process

    return run


def _run(errors: Path, arguments: tuple[str, ...], before: Callable[[], None] | None) -> None:
    with errors.open("a") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    multiprocessing.set_start_method("fork", force=True)  # readers start as they do in a shell
    torch.set_num_threads(1)
    if before:
        before()
    sys.exit(main(arguments))


def wait_until(condition: Callable[[], object], process: BaseProcess) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.is_alive() and not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _wait_after_the_detector_is_written() -> None:
    save = fitted_parts.save_detector

    def save_and_wait(folder: Path, detector: OODDetector) -> None:
        save(folder, detector)
        time.sleep(_PATIENCE)

    fitted_parts.save_detector = save_and_wait


@pytest.mark.timeout(120)
def test_fit_killed_while_it_writes_leaves_the_previous_heads(start, model_folder, tmp_path):
    model = shutil.copytree(model_folder, tmp_path / "model")
    before = contents(model)
    command = ["fit", "--model", str(model), "--data", "phantoms:10@5"]
    process = start(tmp_path / "stderr", *command, before=_wait_after_the_detector_is_written)
    wait_until(lambda: list(tmp_path.glob(".model.*.partial/heads/ood.*")), process)
    process.kill()
    process.join()
    assert list(tmp_path.glob(".model.*.partial"))
    assert contents(model) == before
    assert Predictor.load(model).tasks


def _flush_slowly() -> None:
    """Makes every flush to disk take a moment, so that a kill falls between two of them."""
    flush = os.fsync
    os.fsync = lambda file: (time.sleep(0.2), flush(file))[1]


@pytest.mark.timeout(120)
def test_collect_killed_before_it_is_whole_leaves_the_previous_collection(start, encoder_folder, tmp_path):
    pictures, out = tmp_path / "pictures", tmp_path / "mine"
    pictures.mkdir()
    for i in range(3):  # so few need no UMAP, which takes seconds to import
        pixels = np.random.default_rng(i).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{i}.png")
    command = ["collect", "--model", str(encoder_folder), "--data", str(pictures), "--modality", "cxr"]
    command += ["--out", str(out)]
    assert main(command) == 0
    before = contents(out)
    process = start(tmp_path / "stderr", *command, "--name", "New", before=_flush_slowly)
    wait_until(lambda: list(tmp_path.glob(".mine.*.partial/manifest.json")), process)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(tmp_path.glob(".mine.*.partial"))
    assert contents(out) == before
    assert load_collection(out).name == "mine"
    assert main([*command, "--name", "New"]) == 0
    assert load_collection(out).name == "New"
    assert not list(tmp_path.glob(".mine.*"))


def _embed_five_and_stand_still() -> None:
    """Writes a part as soon as two images are embedded, and embeds no more than five."""
    embedding_blocks._LEAST, embedding_blocks._SECONDS, embedding_blocks._RARELY = 2, 0, 0
    embedder._BATCH_ON_CPU = 1
    plain, counted = embedder.Embedder.embed_tensors, []

    def embed(self: embedder.Embedder, images: torch.Tensor, **options: Any) -> np.ndarray:
        if len(counted) == 5:
            time.sleep(_PATIENCE)
        counted.append(images)
        return plain(self, images, **options)

    embedder.Embedder.embed_tensors = embed
    serve.page = lambda: sys.modules  # the page is never reached


@pytest.mark.timeout(120)
def test_explore_killed_while_it_embeds_a_small_folder_goes_on_there(
    start, model_folder, tmp_path, monkeypatch
):
    """No image of the parts that were written is embedded twice, though all images are one block."""
    pictures, home = tmp_path / "pictures", tmp_path / "home"
    pictures.mkdir()
    for i in range(7):  # so few need no UMAP
        pixels = np.random.default_rng(i).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{i}.png")
    command = [
        "explore",
        str(pictures),
        "--model",
        str(model_folder),
        "--modality",
        "ct",
        "--home",
        str(home),
    ]
    process = start(tmp_path / "stderr", *command, before=_embed_five_and_stand_still)
    wait_until(lambda: list(home.glob("*.embeddings/*.0002.npz")), process)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    again: list[int] = []
    plain = embedder.Embedder.embed_tensors

    def counted(self: embedder.Embedder, images: torch.Tensor, **options: Any) -> np.ndarray:
        again.append(len(images))
        return plain(self, images, **options)

    monkeypatch.setattr(embedder.Embedder, "embed_tensors", counted)
    monkeypatch.setattr(serve, "page", lambda: SimpleNamespace(serve=lambda _: 0))
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")  # so that what the command sets is undone
    assert main(command) == 0
    assert sum(again) == 7 - 4
    (folder,) = home.glob("*/manifest.json")
    assert len(load_collection(folder.parent)) == 7
    assert not list(home.glob("*.embeddings/*"))


def pretrain(folder: Path, *overrides: str) -> list[str]:
    return ["pretrain", "smoke", "data.manifest=phantoms:4", f"run.folder={folder}", *overrides]


def steps_in(folder: Path) -> int:
    log = folder / "log.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_pretrain_killed_at_any_moment_ends_in_the_same_weights(start, tmp_path):
    options = ("schedule.length=16", "run.checkpoint_every=1", "run.workers=1", "run.monitor_every=7")
    killed, whole, errors = tmp_path / "killed", tmp_path / "whole", tmp_path / "stderr"
    chance = random.Random(0)
    for _ in range(2):
        goal = steps_in(killed) + chance.randint(1, 5)
        process = start(errors, *pretrain(killed, *options))
        wait_until(lambda goal=goal: steps_in(killed) >= goal, process)
        time.sleep(chance.random() * 0.05)  # not always at the same place of a step
        process.kill()
        process.join()
    for folder in (killed, whole):
        process = start(errors, *pretrain(folder, *options))
        process.join(2 * _PATIENCE)
        assert process.exitcode == 0, errors.read_text()
    first, second = (load_file(folder / "model" / "model.safetensors") for folder in (whole, killed))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    values = [
        [(line["step"], line["loss"], line["unreadable"]) for line in read_log(folder / "log.jsonl")]
        for folder in (whole, killed)
    ]
    assert values[0] == values[1]
    assert [step for step, *_ in values[0]] == list(range(1, 17))
    assert not list((killed / "checkpoints").glob(".*"))  # no half of one is left


@pytest.mark.timeout(150)
def test_pretrain_terminated_writes_a_checkpoint_and_ends_with_143(start, tmp_path):
    folder, errors = tmp_path / "run", tmp_path / "stderr"
    process = start(errors, *pretrain(folder, "schedule.length=100000"))
    try:
        wait_until(lambda: steps_in(folder), process)
        os.kill(process.pid, signal.SIGTERM)
        process.join(_PATIENCE)
    finally:
        process.kill()  # never leave a run of 100000 steps behind
    assert process.exitcode == 143
    assert "the same command continues the run" in errors.read_text()
    assert list((folder / "checkpoints").iterdir())
