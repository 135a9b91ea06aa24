"""How fast the map of a collection draws, as ratios to regl-scatterplot in the same browser.

    python tests/benchmarks/bench_map.py --regl                      # a million points, some minutes
    python tests/benchmarks/bench_map.py --points 100000             # the map alone, seconds

Debian's Chromium without a graphics card, where WebGL runs in software. Each figure is the median of the runs
in seconds, from the call to a frame that is painted: the first frame (data are in memory), another colouring,
a frame with all points after the view moved, and a lasso around a quarter of the frame; for the map also a
frame while the view moves and the slowest of 200 searches for the point under the pointer. The last line is
JSON.
"""

import argparse
import json
import shutil
import statistics
import subprocess
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, Route, sync_playwright

ROOT = Path(__file__).parents[2]
RENDERER = ROOT / "app" / "components" / "map_renderer.js"
REGL = "regl-scatterplot@1.16.0"
REGL_FOLDER = ROOT / "runs" / "regl-scatterplot"
HERE = "http://bench.localhost"
ARGUMENTS = ("--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader")
SIDES = ("pixels", "webgl")  # of the map: what it takes without a graphics card, and what it takes with one
MEASURES = ("first_frame", "recolour", "frame", "lasso")

PAGE = """<!doctype html><body style="margin:0">
<div id="stage" style="position:relative;width:1100px;height:600px"></div>
<script src="/renderer.js"></script><script src="/harness.js"></script></body>"""
HARNESS = (Path(__file__).parent / "bench_map.js").read_text(encoding="utf-8")


def points(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns places (count, 2) uint16 in thirty clusters and two colourings (2, count) of 30 classes."""
    generator = np.random.default_rng(0)
    cluster = generator.integers(0, 30, count)
    centres = generator.uniform(6_000, 59_000, (30, 2))
    places = centres[cluster] + generator.normal(0, 2_000, (count, 2))
    codes = np.stack([cluster, generator.integers(0, 30, count)]).astype(np.uint8)
    return places.clip(0, 65_535).astype("<u2"), codes


def with_regl(folder: Path = REGL_FOLDER) -> Path:
    """Returns the folder that regl-scatterplot is installed in; npm installs it where it is not yet."""
    if not (folder / "node_modules" / "regl-scatterplot").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", folder, REGL], check=True)
    return folder


def opened(browser: Browser, count: int, npm: Path | None) -> Page:
    """Returns a page with the points in its memory."""
    places, codes = points(count)
    bodies = {
        "/": (PAGE, "text/html"),
        "/renderer.js": (RENDERER.read_text(encoding="utf-8"), "text/javascript"),
        "/harness.js": (HARNESS, "text/javascript"),
        "/places": (places.tobytes(), "application/octet-stream"),
        "/codes": (codes.tobytes(), "application/octet-stream"),
    }

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(HERE)
        if path in bodies:
            body, kind = bodies[path]
            route.fulfill(body=body, content_type=kind)
        elif npm is not None and path.startswith("/npm/"):
            route.fulfill(
                path=npm / "node_modules" / path.removeprefix("/npm/"), content_type="text/javascript"
            )
        else:
            route.fulfill(status=404, body="")

    page = browser.new_page(viewport={"width": 1100, "height": 600})
    page.set_default_timeout(600_000)
    page.route(f"{HERE}/**", answer)
    page.goto(f"{HERE}/")
    page.evaluate("load()")
    return page


def measured(browser: Browser, side: str, count: int, npm: Path | None) -> dict[str, float]:
    """Returns the seconds of each measure on a fresh page."""
    page = opened(browser, count, npm)
    result = page.evaluate("(side) => measure(side)", side)
    page.close()
    figures = (f"{name} {value:.4f} s" for name, value in result.items())
    print(f"{side:7s}", "  ".join(figures), flush=True)
    return result


def measure(count: int, runs: int, npm: Path | None) -> dict[str, float]:
    """Prints a line for each page, and returns medians, with ratios where there is regl-scatterplot."""
    sides = (*SIDES, *["regl"] * (npm is not None))
    measured_on: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        for _ in range(runs):  # by turns, so that other work on the machine meets all alike
            for side in sides:
                measured_on[side].append(measured(browser, side, count, npm))
        browser.close()
    results = {
        side: {name: statistics.median(run[name] for run in each) for name in each[0]}
        for side, each in measured_on.items()
    }
    ours = results["pixels"]
    figures = {"points": count, "runs": runs, **ours}
    if npm is not None:
        figures |= {f"{name}_ratio": ours[name] / results["regl"][name] for name in MEASURES}
    return figures | {f"webgl_{name}": results["webgl"][name] for name in MEASURES}


def main() -> None:
    """Prints a table, and one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--regl", action="store_true", help="measure regl-scatterplot as well (npm gets it)")
    options = parser.parse_args()
    figures = measure(options.points, options.runs, with_regl() if options.regl else None)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
