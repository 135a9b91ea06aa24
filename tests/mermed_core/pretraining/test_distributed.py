"""Two processes on this machine against one: the same losses and weights, batch norm included.

Batch norm is over the shares of both processes, in the encoder and in the head: with the statistics of its
own share each process would learn something else.
"""

import faulthandler
import json
import logging
import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mermed_core.config import read_recipe
from mermed_core.data.sources.opener import open_manifest
from mermed_core.errors import TrainingError
from mermed_core.pretraining.distributed import Processes, interleave
from mermed_core.pretraining.pretrainer import Pretrainer
from mermed_core.pretraining.recipe import Recipe

ROOT = Path(__file__).parents[3]
SMOKE = ROOT / "train" / "recipes" / "smoke.toml"
OPTIONS = ("encoder.drop_path=0", "schedule.length=4", "data.batch=28", "optimiser.learning_rate=1e-3")
TWO_GPUS = (
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="NCCL refuses two processes on one GPU"),
)
DISTILLED = (
    "distillation.architecture=test_resnet",
    "distillation.weight_start=0.5",
    "distillation.weight_end=0.5",
)


def _work(rank: int, world_size: int, port: int, folder: Path, overrides: tuple[str, ...], bad: set[int]):
    """What a process under torchrun does; the learner of the second process is poisoned at some steps."""
    if world_size > 1:
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in numbers.items()}, MASTER_ADDR="127.0.0.1")
    with folder.with_suffix(".stderr").open("a") as errors:
        os.dup2(errors.fileno(), sys.stderr.fileno())
    faulthandler.dump_traceback_later(100, exit=True)  # a process that hangs says where
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    torch.set_num_threads(1)
    recipe = read_recipe(Recipe, SMOKE, [f"run.folder={folder}", *OPTIONS, *overrides])
    pretrainer = Pretrainer(recipe, open_manifest(recipe.data.manifest))
    if rank == 1 and bad:  # the poisoned learner cannot leave out the averaging, which parts of a batch need
        _poison(pretrainer, bad)
    try:
        pretrainer.run()
    except TrainingError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _poison(pretrainer: Pretrainer, bad: set[int]) -> None:
    learner, count = pretrainer.engine._learner, iter(range(100))

    def learn(*views):
        output = learner(*views)
        return output._replace(projected=output.projected * (float("nan") if next(count) in bad else 1.0))

    pretrainer.engine._learner = learn  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(scope="module")
def run():
    """Runs a recipe in processes that are forks of one that has imported what takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mermed_core.pretraining.pretrainer"])

    def start(folder, world_size, *overrides, bad=(), exit_code=0):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        workers = [
            context.Process(target=_work, args=(rank, world_size, port, folder, overrides, set(bad)))
            for rank in range(world_size)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(150)
            worker.kill()
        errors = folder.with_suffix(".stderr").read_text()
        assert {worker.exitcode for worker in workers} == {exit_code}, errors
        return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()], errors

    return start


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=TWO_GPUS)])
@pytest.mark.parametrize(
    "overrides",
    [
        (
            "encoder.architecture=test_efficientnet",
            "loss.koleo_weight_start=0.1",
            "loss.koleo_weight_end=0.1",
        ),
        ("encoder.architecture=test_vit", "compute.accumulate=2", "head.layers=1", "memory.prefill=0"),
        ("encoder.architecture=test_vit", "compute.accumulate=2", "head.layers=1", *DISTILLED),
    ],
    ids=["batch_norm_and_koleo", "in_parts_from_an_empty_memory", "in_parts_with_distillation"],
)
def test_two_processes_learn_what_one_learns_from_the_whole_batch(tmp_path, run, overrides, device):
    overrides = (f"run.device={device}", *overrides)
    whole, _ = run(tmp_path / "one", 1, *overrides)
    halves, _ = run(tmp_path / "two", 2, *overrides)
    assert [line["step"] for line in halves] == [line["step"] for line in whole] == [1, 2, 3, 4]
    for ours, expected in zip(halves, whole, strict=True):
        for key in ("loss", "koleo", "distillation", "gradient_norm", "embedding_std"):
            wanted = expected[key] if expected[key] is None else pytest.approx(expected[key], rel=1e-3)
            assert ours[key] == wanted, (key, ours["step"])
        assert ours["memory"] == expected["memory"]
        assert ours["images"] == expected["images"]
    assert whole[-1]["loss"] is not None
    weights, shared = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    for name, tensor in weights.items():
        torch.testing.assert_close(shared[name], tensor, rtol=0, atol=2e-3)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_of_two_is_continued_by_one_and_names_the_images_of_both(tmp_path, run):
    """Also: a modality with fewer images than processes, and broken images that either process meets."""
    table = tmp_path / "images"
    for modality, count in {"ct": 1, "oct": 9}.items():
        (table / modality / "class").mkdir(parents=True)
        for number in range(count):
            picture = table / modality / "class" / f"{number}.png"
            picture.write_bytes((ROOT / "assets" / "examples" / f"{modality}.png").read_bytes())
    for number in (3, 4, 7):
        (table / "oct" / "class" / f"{number}.png").write_bytes(b"broken")
    options = (f"data.manifest={table}", "run.checkpoint_every=2", "schedule.length=4")
    folder = tmp_path / "run"
    _, errors = run(folder, 2, *options)
    first, last = sorted((folder / "checkpoints").iterdir())
    unreadable = json.loads((last / "state.json").read_text())["unreadable"]
    assert len(unreadable) == 3
    assert errors.count("cannot be read and is skipped") >= 3
    last.rename(tmp_path / "away")
    lines, errors = run(folder, 1, *options)
    assert first.name == "step-000000002"
    assert "continued at step 2 of 4" in errors
    assert [line["step"] for line in lines] == [1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_loss_that_is_not_finite_in_one_process_skips_the_step_in_all(tmp_path, run):
    options = ("schedule.length=5", "optimiser.patience=3")
    lines, _ = run(tmp_path / "run", 2, *options, bad={1, 3})
    assert [line["skipped"] for line in lines] == [0, 1, 1, 2, 2]
    assert [line["loss"] is None for line in lines] == [False, True, False, True, False]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_too_many_in_one_process_stop_all(tmp_path, run):
    options = ("schedule.length=5", "optimiser.patience=2")
    _, errors = run(tmp_path / "run", 2, *options, bad={1, 2}, exit_code=2)
    assert errors.count("not finite in 2 steps in a row") == 2


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_torchrun_starts_it(tmp_path):
    """The way that the documentation names; everything else about two processes is tested above, faster."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [
        "-m",
        "mermed_core",
        "pretrain",
        "smoke",
        f"run.folder={tmp_path / 'run'}",
        "schedule.length=1",
    ]
    answer = subprocess.run(
        [*launch, *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [str(tmp_path / "run" / "model")]


def test_alone_a_process_may_use_one_device_after_another():
    assert [Processes(name).device.type for name in ("cpu", "meta", "cpu")] == ["cpu", "meta", "cpu"]


def test_alone_every_method_is_the_identity():
    processes, table = Processes("cpu"), {"a": "b"}
    value = torch.arange(6.0).reshape(3, 2)
    assert (processes.rank, processes.world_size, processes.is_main) == (0, 1, True)
    assert processes.gather_batch(value) is value
    assert processes.sum(value) is value
    assert (processes.max(7), processes.merge(table)) == (7, table)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_interleaving_undoes_a_division(dim, parts):
    whole = torch.arange(72).reshape(6, 12) if dim else torch.arange(72).reshape(12, 6)
    taken = [whole.index_select(dim, torch.arange(part, 12, parts)) for part in range(parts)]
    assert torch.equal(interleave(taken, dim), whole)
