"""Two processes on this machine against one: the same losses and weights, batch norm included.

Batch norm is over the shares of both processes, in the encoder and in the head (`unite_batch_norm`): with the
statistics of its own share each process would learn something else.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mermed_core.pretraining.distributed import Ranks, interleave

ROOT = Path(__file__).parents[3]
OPTIONS = ("encoder.drop_path=0", "schedule.length=6", "data.batch=28", "optimiser.learning_rate=1e-3")
TWO_GPUS = (
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="NCCL refuses two processes on one GPU"),
)
DISTILLED = (
    "distillation.architecture=test_resnet",
    "distillation.weight_start=0.5",
    "distillation.weight_end=0.5",
)


def start(folder, world, *overrides):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
    command += [
        "-m",
        "train.pretrain",
        "train/recipes/smoke.toml",
        f"run.folder={folder}",
        *OPTIONS,
        *overrides,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def result(folder, process):
    _, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return lines, load_file(folder / "model" / "model.safetensors"), error


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
def test_two_processes_learn_what_one_learns_from_the_whole_batch(tmp_path, overrides, device):
    there = f"run.device={device}"
    whole, weights, _ = result(tmp_path / "one", start(tmp_path / "one", 1, there, *overrides))
    halves, shared, _ = result(tmp_path / "two", start(tmp_path / "two", 2, there, *overrides))
    assert [line["step"] for line in halves] == [line["step"] for line in whole]
    for ours, expected in zip(halves, whole, strict=True):
        for key in ("loss", "koleo", "distillation", "gradient_norm", "embedding_std"):
            wanted = expected[key] if expected[key] is None else pytest.approx(expected[key], rel=1e-3)
            assert ours[key] == wanted, (key, ours["step"])
        assert ours["memory"] == expected["memory"]
        assert ours["images"] == expected["images"]
    assert whole[-1]["loss"] is not None
    for name, tensor in weights.items():
        torch.testing.assert_close(shared[name], tensor, rtol=0, atol=2e-3)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_of_two_is_continued_by_one_and_tells_of_every_rank(tmp_path):
    """Also: a modality with fewer images than processes, and broken images that either process meets."""
    table = tmp_path / "images"
    for modality, count in {"ct": 1, "oct": 9}.items():
        (table / modality / "class").mkdir(parents=True)
        for number in range(count):
            picture = table / modality / "class" / f"{number}.png"
            picture.write_bytes((ROOT / "assets" / "examples" / f"{modality}.png").read_bytes())
    for number in (3, 4, 7):
        (table / "oct" / "class" / f"{number}.png").write_bytes(b"broken")
    options = (f"data.manifest={table}", "run.checkpoint_every=2")
    folder = tmp_path / "run"
    _, _, error = result(folder, start(folder, 2, *options, "schedule.length=6"))
    last = sorted((folder / "checkpoints").iterdir())[-1]
    unreadable = json.loads((last / "state.json").read_text())["unreadable"]
    assert len(unreadable) == 3
    assert error.count("cannot be read and is passed over") >= 3
    for leftover in sorted((folder / "checkpoints").iterdir())[1:]:
        for file in leftover.iterdir():
            file.unlink()
        leftover.rmdir()
    lines, _, error = result(folder, start(folder, 1, *options, "schedule.length=6"))
    assert "continued at step 4 of 6" in error
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]


POISONED = """
import sys
from pathlib import Path
from mermed_core.data.sources.opener import open_manifest
from mermed_core.errors import TrainingError
from mermed_core.pretraining.pretrainer import Pretrainer
from mermed_core.pretraining.recipe import Recipe
from mermed_core.config import read_recipe

recipe = read_recipe(Recipe, Path(sys.argv[1]), sys.argv[3:])
pretrainer = Pretrainer(recipe, open_manifest("phantoms:4"))
learner, count = pretrainer.engine._learner, iter(range(100))
bad = {int(number) for number in sys.argv[2].split(",")}

def learn(*views):
    output = learner(*views)
    wrong = next(count) in bad and pretrainer.ranks.rank == 1
    return output._replace(projected=output.projected * (float("nan") if wrong else 1.0))

pretrainer.engine._learner = learn
try:
    pretrainer.run()
except TrainingError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize(("bad", "code"), [("1,3", 0), ("1,2,3", 2)])
def test_a_loss_that_is_not_finite_on_one_rank_skips_the_step_on_all(tmp_path, bad, code):
    script = tmp_path / "poisoned.py"
    script.write_text(POISONED)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    options = ("data.batch=14", f"run.folder={tmp_path / 'run'}", "schedule.length=6", "optimiser.patience=3")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [*command, "train/recipes/smoke.toml", bad, *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert bool(answer.returncode) == bool(code), answer.stderr
    if code:
        assert "not finite in 3 steps in a row" in answer.stderr
        return
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["skipped"] for line in lines] == [0, 1, 1, 2, 2, 2]
    assert [line["loss"] is None for line in lines] == [False, True, False, True, False, False]


def test_alone_a_process_may_use_one_device_after_another():
    assert [Ranks(name).device.type for name in ("cpu", "meta", "cpu")] == ["cpu", "meta", "cpu"]


def test_alone_every_method_is_the_identity():
    ranks, table = Ranks("cpu"), {"a": "b"}
    value = torch.arange(6.0).reshape(3, 2)
    assert (ranks.rank, ranks.world, ranks.is_main) == (0, 1, True)
    assert ranks.gather_places(value) is value
    assert ranks.total(value) is value
    assert (ranks.largest(7), ranks.merge(table)) == (7, table)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_interleaving_undoes_a_division(dim, parts):
    whole = torch.arange(72).reshape(6, 12) if dim else torch.arange(72).reshape(12, 6)
    taken = [whole.index_select(dim, torch.arange(part, 12, parts)) for part in range(parts)]
    assert torch.equal(interleave(taken, dim), whole)
