"""How long a visitor waits with a 2,000 × 2,000 PNG: for the answer, the heat map, and it once more.

    python tests/benchmarks/bench_page.py                  # serves the page itself, half a minute
    python tests/benchmarks/bench_page.py --image my.png   # an image of your own, resized
    python tests/benchmarks/bench_page.py --beside ../old  # by turns with the page of another checkout

Chromium opens a fresh page for each round and gives it an image that no round before had. The page's own
clock runs from the file's arrival to the frame that shows the findings, and to that with the heat map over
the picture; then another finding is pressed, and the first one again, whose heat map is known by now. A clock
outside would not do: what Playwright waits for, it looks for every half second. Prints a table and a line of
JSON with the medians; ends with 1 where one of them misses its bar. Seconds count on a quiet machine only.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
SIDE = 2000
BARS = {"answer": 1.0, "heat_map": 1.5, "cached": 0.3}
START_SECONDS = 120
BUTTONS = "#classify-findings button.mm-bar"
# Starts at an event; a step ends with the frame that shows what is waited for.
CLOCK = """([event, steps]) => {
  window.times = {};
  let began = null;
  document.addEventListener(event, () => (began = performance.now()), { capture: true, once: true });
  const whole = (image) => image.complete && image.naturalWidth > 0;
  const there = ({ selector, src }) => {
    const found = [...document.querySelectorAll(selector)];
    if (!found.length || (src && found[0].src !== src)) return false;
    return found.every((each) => !(each instanceof Image) || whole(each));
  };
  const look = () => {
    for (const [name, step] of Object.entries(steps)) {
      if (began === null || name in times || !there(step)) continue;
      times[name] = null;
      requestAnimationFrame(() => setTimeout(() => (times[name] = (performance.now() - began) / 1000)));
    }
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
  document.addEventListener("load", look, true);
}"""
STEPS = {"answer": {"selector": BUTTONS}, "heat_map": {"selector": "#classify-figure:has(.mm-heat) img"}}


def variants(path: Path, folder: Path) -> Iterator[Path]:
    """Yields the image as PNG files of the size that is measured, each with noise of its own.

    The browser reads them from the disk, as it does what is dropped: what Playwright hands it itself takes
    half a second longer.
    """
    random = np.random.default_rng(0)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
    while True:
        grain = random.integers(-3, 4, (SIDE, SIDE, 1), dtype=np.int16)
        file = folder / f"{random.integers(2**32)}.png"
        Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)).save(file, compress_level=1)
        yield file


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serves the page of a checkout in a process of its own and yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=root, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                urlopen(address, timeout=5).close()
                break
            except (URLError, OSError):
                if process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def one_round(page: Page, address: str, file: Path) -> dict[str, float]:
    """Returns the seconds of each step with one image on a fresh page."""
    page.goto(address)
    page.wait_for_selector("#classify-examples button")
    page.wait_for_timeout(1500)  # until the browser has nothing to do any more; the page stays connected
    page.evaluate(CLOCK, ["change", STEPS])
    page.locator("#classify-file input[type=file]").set_input_files(file)
    times = _times(page, *STEPS)
    page.wait_for_selector("#classify-second-look section")  # nothing is computed any more
    first = page.locator(".mm-heat").get_attribute("src")
    other = "(seen) => { const now = document.querySelector('.mm-heat')?.src; return now && now !== seen; }"
    page.locator(BUTTONS).nth(1).click()
    page.wait_for_function(other, arg=first)
    page.wait_for_selector("#classify-map-check p")  # tried: nothing is computed any more
    page.evaluate(CLOCK, ["click", {"cached": {"selector": "#classify-figure .mm-heat", "src": first}}])
    page.locator(BUTTONS).nth(0).click()
    return times | _times(page, "cached")


def _times(page: Page, *names: str) -> dict[str, float]:
    page.wait_for_function("(names) => names.every((name) => times[name])", arg=names)
    return {name: page.evaluate("times")[name] for name in names}


def measured(browser: Browser, addresses: list[str], image: Path, rounds: int) -> list[dict[str, float]]:
    """Returns the median seconds of each step for each address.

    They take turns. The first round, which warms up, is shown and not counted.
    """
    found: list[list[dict[str, float]]] = [[] for _ in addresses]
    with tempfile.TemporaryDirectory() as folder:
        files = variants(image, Path(folder))
        for number in range(rounds + 1):
            for address, rounds_there in zip(addresses, found, strict=True):
                page = browser.new_page(viewport={"width": 1400, "height": 900})
                rounds_there.append(one_round(page, address, next(files)))
                page.close()
                words = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in rounds_there[-1].items())
                print(f"{'warm-up' if number == 0 else f'round {number}'} at {address}: {words}", flush=True)
    return [{name: statistics.median(each[name] for each in there[1:]) for name in BARS} for there in found]


def main() -> int:
    """Measures, prints, and returns whether a bar was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, default=ROOT / "assets" / "examples" / "cxr.png")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--address", help="of a page that is served already")
    parser.add_argument("--beside", type=Path, help="another checkout, whose page takes turns with this one")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as started:
        arguments = ["--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader"]
        browser = started.chromium.launch(executable_path=chromium, args=arguments)
        with ExitStack() as stack:
            roots = [root for root in (ROOT, options.beside) if root]
            addresses = [options.address] if options.address else []
            addresses = addresses or [stack.enter_context(served(root)) for root in roots]
            medians, *beside = measured(browser, addresses, options.image, options.rounds)
        browser.close()
    for other in beside:
        ratios = ", ".join(f"{name} {medians[name] / other[name]:.2f}" for name in BARS)
        print(f"as a share of the other page's seconds: {ratios}")
    missed = [name for name, seconds in medians.items() if seconds > BARS[name]]
    print(f"missed: {', '.join(missed)}" if missed else "every bar holds")
    print(json.dumps({f"page_{name}_s": round(seconds, 3) for name, seconds in medians.items()}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
