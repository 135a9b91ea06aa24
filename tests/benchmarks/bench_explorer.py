"""How fast and how right the explorer is, each part against its anchor in the same run.

    python tests/benchmarks/bench_explorer.py                    # a million cases, some ten minutes
    python tests/benchmarks/bench_explorer.py --cases 20000      # seconds, at a size that says little

Each section is a module with a function that prints its tables and returns its figures. The last line is
JSON. Vectors are made from those of the bundled atlas. hnswlib and usearch are measured where they are
installed; the program itself uses neither. Two sections need more: `draw` npm, which gets regl-scatterplot
once, and `quality` the real sets of MERMED_DATA.
"""

import argparse
import json
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import bench_map
import bench_quality
import explorer_embed
import explorer_map
import explorer_measures
import explorer_open
import explorer_search

from mermed_core.settings import Settings

SECTIONS: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
    "search": lambda options: explorer_search.measure(options.cases, options.beside),
    "open": lambda options: explorer_open.measure(options.cases),
    "measures": lambda options: explorer_measures.measure(options.cases),
    "embed": lambda options: explorer_embed.measure(options.images),
    "map": lambda options: explorer_map.measure(options.map_cases, not options.without_umap),
    "draw": lambda options: bench_map.measure(options.points, 3, bench_map.with_regl()),
    "quality": lambda options: bench_quality.measure(options.data, options.cache, options.seed),
}


def main() -> None:
    """Runs the sections and prints their tables and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument(
        "--beside", type=int, default=100_000, help="cases for hnswlib and usearch; 0 for none"
    )
    parser.add_argument("--images", type=int, default=192, help="images that are embedded")
    parser.add_argument("--map-cases", type=int, default=20_000, help="cases of the map")
    parser.add_argument("--without-umap", action="store_true", help="umap-learn takes an hour at a million")
    parser.add_argument("--points", type=int, default=100_000, help="points that are drawn")
    parser.add_argument("--seed", type=int, default=2026, help="of the copies and labels that are planted")
    parser.add_argument("--cache", type=Path, default=Path("runs/evaluation"), help="keeps embeddings")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, help="these sections; default: all that can run"
    )
    options = parser.parse_args()
    options.data = Settings.from_environment().data
    able = {"draw": shutil.which("npm") is not None, "quality": options.data is not None}
    if unable := [name for name in options.only or () if not able.get(name, True)]:
        parser.error(f"{unable[0]} needs {'npm' if unable[0] == 'draw' else 'MERMED_DATA'}")
    options.only = options.only or [name for name in SECTIONS if able.get(name, True)]
    figures: dict[str, float] = {}
    for name in options.only:
        figures.update(SECTIONS[name](options))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{options.cases:,} cases, at most {peak:.1f} GB of memory")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
