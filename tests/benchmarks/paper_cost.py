"""What the paper's run costs: the arithmetic of its step, counted, and its step and loss, timed.

    python tests/benchmarks/paper_cost.py --tflops 318 --gpus 8
    python tests/benchmarks/paper_cost.py --measure            # ViT-B, 128 images, on the device here
    python tests/benchmarks/paper_cost.py --measure data.batch=256 encoder.architecture=vit_small_patch16_224

Hours = images · epochs · GFLOP an image / (GPUs · TFLOP/s that one GPU sustains). The last is yours to put
in, or --measure times the recipe's whole step, with its memory full, on whatever device is at hand.
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from clock import is_gpu, seconds_of
from loss_sides import Size, ours
from step_sides import step_seconds
from torch.utils.flop_counter import FlopCounterMode

from mermed_core.config import read_recipe
from mermed_core.device import describe
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.student_teacher import build_student

PAPER = Path(__file__).parents[2] / "train" / "recipes" / "paper.toml"
IMAGES = 3_300_000
_BATCH = 4  # two at least, for batch norm; the count is linear in it


def gflop_an_image(recipe: Recipe) -> float:
    """Counts multiplications and additions of student and teacher, forward and backward, for one image."""
    network, views = build_student(recipe).to("meta"), recipe.views
    large = torch.empty(views.global_count, _BATCH, 3, views.global_size, views.global_size, device="meta")
    small = torch.empty(views.local_count, _BATCH, 3, views.local_size, views.local_size, device="meta")
    with FlopCounterMode(display=False) as counter:
        with torch.no_grad():
            network(large)
        network(large, small).projected.sum().backward()
    return counter.get_total_flops() / _BATCH / 1e9


def loss_seconds(size: int, batch: int, device: str, repeats: int = 5) -> float:
    """Returns the median seconds of loss, gradient and update of the memory, on a device of this machine."""
    run = ours(Size(size, 16_384, 256, 7, 12, 2), batch, device)
    run()
    return statistics.median(seconds_of(run, device) for _ in range(repeats))


def measure(overrides: list[str], device: str, gpus: int) -> None:
    """Prints what a step sustains on a device, and how long the paper's run would take on several of them."""
    on_gpu = is_gpu(device)
    own = ["encoder.start=random", "data.batch=128", f"compute.compile={str(on_gpu).lower()}"]
    recipe = read_recipe(Recipe, PAPER, [*own, *overrides])
    speed = recipe.data.batch / statistics.median(step_seconds("ours", recipe, device, repeats=3))
    gflop, hours = gflop_an_image(recipe), IMAGES * recipe.schedule.length / speed / gpus / 3600
    memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB" if on_gpu else "not counted"
    print(f"{describe(torch.device(device))}, torch {torch.__version__}, {recipe.compute.precision}")
    print(f"| encoder | GFLOP an image | images/s | sustained | memory | the run on {gpus} of these |")
    print("|---|---|---|---|---|---|")
    print(f"| {recipe.encoder.architecture}, batch {recipe.data.batch} | {gflop:.0f} | {speed:.4g} ", end="")
    print(f"| {speed * gflop / 1e3:.3g} TFLOP/s | {memory} | {hours:,.1f} hours |")


def main() -> None:
    """Prints the counts, the times and the estimate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tflops", type=float, default=318.0, help="that one GPU sustains; 318 was measured")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--measure", action="store_true", help="time the recipe's step here, nothing else")
    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="that --measure and the table of the loss use",
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the recipe, for --measure")
    options = parser.parse_args()
    if options.measure:
        measure(options.overrides, options.device, options.gpus)
        return
    recipe = read_recipe(Recipe, PAPER, ["encoder.start=random"])
    gflop, epochs = gflop_an_image(recipe), recipe.schedule.length
    seconds = IMAGES * epochs * gflop / (options.gpus * options.tflops * 1e3)
    print(f"paper.toml: {gflop:.0f} GFLOP an image, {IMAGES * epochs * gflop * 1e9:.2e} in {epochs:g} epochs")
    print(f"{options.gpus} GPUs at {options.tflops:g} TFLOP/s: {seconds / 3600:.1f} hours")
    small = read_recipe(Recipe, PAPER, ["encoder.start=random", "encoder.architecture=vit_small_patch16_224"])
    print(f"with a ViT-S: {gflop_an_image(small):.0f} GFLOP an image\n")
    print(f"{describe(torch.device(options.device))}")
    print("| memories K | loss, batch 56 | loss, batch 112 | memory bank |\n|---|---|---|---|")
    for size in (32_768, 131_072, 524_288):
        times = (loss_seconds(size, batch, options.device) for batch in (56, 112))
        row = " | ".join(f"{each:.3g} s" for each in times)
        print(f"| {size:,} | {row} | {size * 256 * 4 / 1e6:.0f} MB |")


if __name__ == "__main__":
    main()
