"""What a visitor leaves in the server's memory.

    python tests/benchmarks/bench_visits.py                # four rounds of 25 visitors, some minutes
    python tests/benchmarks/bench_visits.py --never-forget # the same without the page's own forgetting

In each round visitors open the page by `gradio_client`, have an image of their own analysed, search with it
and are gone; afterwards pages of visitors' own collections are opened and closed. What stays of each is by
how much resident memory grows after the first round, which sets memory aside for all. The last line is JSON.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from app import explorer, visits
from app.services import Services, load_services
from app.ui import Explorer, build_app, launch_options
from app.uploads import use_private_folder
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

SIZE = (1200, 1000)
# Visitors end with their process, so that their connections are cut as a closed browser cuts them.
VISITORS = """
import sys
from gradio_client import Client, handle_file
clients = []
for path in sys.argv[2:]:
    client = Client(sys.argv[1], verbose=False)
    client.predict(handle_file(path), "", api_name="/classify")
    client.predict("My image", None, 12, [], [], [], api_name="/similar")
    clients.append(client)
"""


def resident() -> float:
    """Returns the resident memory of this process in MB."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def come_and_go(page: Explorer, address: str, count: int, seed: int, forgets: bool) -> None:
    """Lets visitors come one after another, each with noise of their own, and go together."""
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{number}.png") for number in range(count)]
        for path in paths:
            coarse = random.integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC).save(path, compress_level=1)
        subprocess.run([sys.executable, "-c", VISITORS, address, *paths], check=True)
    held = page.state_holder.session_data
    while (forgets and held) or not all(state.is_closed for state in list(held.values())):
        time.sleep(0.5)


def own_pages(services: Services, count: int) -> None:
    """Opens and closes pages of visitors' collections."""
    for _ in range(count):
        with TestClient(build_app(Services(services.predictor, own=False)).mounted()) as client:
            client.get("/config").raise_for_status()


def growth(sizes: list[float], each: int) -> float:
    """Returns the MB by which memory grew with each one after the first round."""
    return round((sizes[-1] - sizes[0]) / ((len(sizes) - 1) * each), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--visitors", type=int, default=25, help="of a round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--never-forget", action="store_true", help="as Gradio and FastAPI do by themselves")
    options = parser.parse_args()
    visits.CLOSED_SECONDS = 10**9 if options.never_forget else 1
    if options.never_forget:
        explorer._let_go = lambda: None
    settings = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
    use_private_folder()
    services = load_services(settings)
    page = build_app(services)
    served = launch_options(settings) | {"server_port": None, "prevent_thread_lock": True}
    address = page.launch(**served)[1]
    after_visits, after_pages = [], []
    for seed in range(options.rounds):
        come_and_go(page, address, options.visitors, seed, not options.never_forget)
        after_visits.append(resident())
        print(f"{options.visitors * (seed + 1):4d} visitors  {after_visits[-1]:7.0f} MB", flush=True)
    page.close(verbose=False)
    for number in range(4):
        own_pages(services, 4)
        after_pages.append(resident())
        print(f"{4 * (number + 1):4d} own pages {after_pages[-1]:7.0f} MB", flush=True)
    figures = {
        "mb_a_visit": growth(after_visits, options.visitors),
        "mb_an_own_page": growth(after_pages, 4),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
