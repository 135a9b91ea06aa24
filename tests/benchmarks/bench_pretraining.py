"""How fast pretraining is, as ratios measured side by side in one run.

    python tests/benchmarks/bench_pretraining.py            # about a quarter of an hour on two cores
    python tests/benchmarks/bench_pretraining.py --quick    # seconds, at a size that says little
    python tests/benchmarks/bench_pretraining.py --device cuda --workers 14 data.batch=128   # on a GPU

(a) loss and memory, forward, backward and update, against the authors' procedure written plainly (plain.py)
and against the floor, a bare matmul forward and backward of the useful size; (b) a whole step with a ViT-S
against the plain form; (c) the input pipeline alone against what a step needs. The last line is JSON.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from clock import is_gpu, seconds_of
from loss_sides import SIDES, Size, check_equal
from step_sides import pipeline_speed, step_recipe, step_seconds

from mermed_core.device import describe
from mermed_core.pretraining.recipe import Recipe

MEMORY = Size(size=131_072, block=16_384, dim=256, modalities=7, views=12, teacher_views=2)
QUICK = Size(size=7 * 512, block=512, dim=32, modalities=7, views=4, teacher_views=2)


@dataclass(frozen=True)
class LossResult:
    """Seconds and peak bytes of each side at one batch size."""

    batch: int
    seconds: dict[str, float]
    peak: dict[str, int]

    @property
    def speedup(self) -> float:
        """How many times less time ours takes than the plain form."""
        return self.seconds["plain"] / self.seconds["ours"]

    @property
    def memory_ratio(self) -> float:
        """How many times less memory ours takes than the plain form."""
        return self.peak["plain"] / self.peak["ours"]

    @property
    def floor_ratio(self) -> float:
        """How many times the time of the floor ours takes."""
        return self.seconds["ours"] / self.seconds["floor"]


def measure_loss(size: Size, batch: int, repeats: int, device: str) -> LossResult:
    """Measures all sides in turn, so that a busy moment of the machine meets all of them."""
    runs = {name: side(size, batch, device) for name, side in SIDES.items()}
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            # The fast sides are over before a clock can tell: several in one measurement.
            times = 1 if name == "plain" else 5
            several = seconds_of(lambda run=run, times=times: [run() for _ in range(times)], device)
            seconds[name].append(several / times)
        note(f"batch {batch}: " + ", ".join(f"{name} {values[-1]:.4f} s" for name, values in seconds.items()))
    peak = {name: peak_in_own_process(name, size, batch, device) for name in ("plain", "ours")}
    return LossResult(batch, {name: statistics.median(values) for name, values in seconds.items()}, peak)


def peak_in_own_process(name: str, size: Size, batch: int, device: str) -> int:
    """Returns the bytes that a side adds to a process: memory bank, inputs, and all it makes in a step."""
    wanted = ("--peak", name, "--size", json.dumps(vars(size)), "--batch", str(batch))
    return _in_own_process(*wanted, "--device", device)


def measure_step(options: argparse.Namespace, rounds: int) -> dict[str, float]:
    """Returns the median seconds of a step, plain and ours, in turn, each time in a process of its own.

    In one process each would be given the memory that the other has had mapped.
    """
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    for number in range(rounds):
        for side, values in seconds.items():
            wanted = ("--step", side, "--precision", options.precision, "--device", options.device)
            values += _in_own_process(*wanted, *["--quick"] * options.quick, *options.overrides)
            note(f"step, round {number + 1} of {rounds}, {side}: {values[-1]:.3f} s")
    return {side: statistics.median(values) for side, values in seconds.items()}


def _in_own_process(*arguments: str) -> Any:
    command = [sys.executable, __file__, *arguments]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def print_peak(name: str, size: Size, batch: int, device: str) -> None:
    """Prints how far the memory of this fresh process, or what it holds of a GPU's, rises by two steps."""
    torch.mm(torch.randn(64, 64), torch.randn(64, 64))  # what the libraries themselves take is not counted
    before = _highest()
    run = SIDES[name](size, batch, device)
    run()
    run()
    print(torch.cuda.max_memory_allocated() if is_gpu(device) else max(1, _highest() - before))


def _highest() -> int:
    # Not getrusage: its highest mark outlives the start of another program and is then the parent's.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def note(text: str) -> None:
    """Tells how far it is."""
    print(text, file=sys.stderr, flush=True)


def show(results: list[LossResult], step: dict[str, float], pipeline: dict[str, float], device: str) -> None:
    """Prints the tables for people."""
    print(f"\n{describe(torch.device(device))}, torch {torch.__version__}")
    print(
        "\n| (a) loss and memory | plain | ours | floor | plain / ours | ours / floor | memory plain / ours |"
    )
    print("|---|---|---|---|---|---|---|")
    for result in results:
        seconds, peak = result.seconds, result.peak
        print(
            f"| batch {result.batch} | {seconds['plain']:.3g} s, {peak['plain'] / 1e9:.2f} GB "
            f"| {seconds['ours']:.3g} s, {peak['ours'] / 1e9:.2f} GB | {seconds['floor']:.3g} s "
            f"| {result.speedup:.1f} | {result.floor_ratio:.2f} | {result.memory_ratio:.1f} |"
        )
    print("\n| (b) whole step | plain | ours | plain / ours |\n|---|---|---|---|")
    print(
        f"| images/s | {step['batch'] / step['plain']:.2f} | {step['batch'] / step['ours']:.2f} "
        f"| {step['plain'] / step['ours']:.2f} |"
    )
    print("\n| (c) input pipeline | images/s | that a step takes | ratio |\n|---|---|---|---|")
    print(f"| {pipeline['workers']} workers | {pipeline['images']:.1f} | {pipeline['need']:.2f} ", end="")
    print(f"| {pipeline['images'] / pipeline['need']:.1f} |\n")


def main() -> None:
    """Runs all parts and prints the tables and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small size, for a test of the script")
    parser.add_argument("--batches", type=int, nargs="+", default=[56, 112], help="for part (a)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--precision",
        choices=("bf16", "fp32"),
        help="of both sides in (b); without it bf16 where the device computes in it",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for (a) and (b)")
    parser.add_argument("--workers", type=int, default=2, help="that read images in (c)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the recipe, for (b) and (c)")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    bf16 = is_gpu(options.device) or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    options.precision = options.precision or ("bf16" if bf16 else "fp32")
    if options.peak:
        print_peak(options.peak, Size(**options.size), options.batch, options.device)
    elif options.step:
        print(json.dumps(step_seconds(options.step, recipe_of(options), options.device, repeats=2)))
    else:
        compare(options)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Returns the recipe of a whole step."""
    precision = f"compute.precision={options.precision}"
    return step_recipe((precision, *options.overrides), quick=options.quick)


def compare(options: argparse.Namespace) -> None:
    """Runs all parts."""
    size, repeats = (QUICK, 2) if options.quick else (MEMORY, options.repeats)
    difference = check_equal()
    note(f"the two forms agree in loss and gradient to {difference:.1e}")
    results = [measure_loss(size, batch, repeats, options.device) for batch in options.batches]
    recipe = recipe_of(options)
    step = measure_step(options, rounds=1 if options.quick else 2)
    step["batch"] = recipe.data.batch
    need = step["batch"] / step["ours"]
    pipeline = pipeline_speed(recipe, quick=options.quick, need=need, workers=options.workers)
    show(results, step, pipeline, options.device)
    figures = {
        "loss_speedup": min(result.speedup for result in results),
        "loss_memory_ratio": min(result.memory_ratio for result in results),
        "floor_ratio": max(result.floor_ratio for result in results),
        "step_speedup": step["plain"] / step["ours"],
        "step_precision": options.precision,
        "pipeline_ratio": pipeline["images"] / pipeline["need"],
    }
    print(
        json.dumps(
            {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
        )
    )


if __name__ == "__main__":
    main()
