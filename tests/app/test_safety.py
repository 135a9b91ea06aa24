"""Each safe setting of the page, on the page as it is served."""

import json
from pathlib import Path
from typing import Any

import gradio as gr
import httpx2
import pytest
from gradio_client import Client, handle_file

from app.explorer import Explorer
from app.ui import build_app, launch_options
from app.uploads import take
from mermed_core.files import ASSETS
from mermed_core.settings import Settings


@pytest.fixture(scope="module")
def config(address) -> dict[str, Any]:
    return httpx2.get(f"{address}/config").json()


@pytest.fixture(scope="module")
def components(services) -> list[gr.Component]:
    return [block for block in build_app(services).blocks.values() if isinstance(block, gr.Component)]


def test_no_run_is_kept_in_the_browser(config):
    assert config["run_history"] is False


def test_nothing_is_told_to_gradio(config):
    assert config["analytics_enabled"] is False


def test_the_footer_offers_neither_settings_nor_runs(config):
    assert config["footer_links"] == []


def test_monitoring_is_closed(address):
    assert httpx2.get(f"{address}/monitoring").status_code in (403, 404)


def test_errors_tell_no_paths(config):
    assert config["show_error"] is False


def test_a_file_over_the_limit_is_refused(address, config):
    assert config["max_file_size"] == 128 * 2**20
    big = {"files": ("big.png", bytes(129 * 2**20), "image/png")}
    assert httpx2.post(f"{address}/gradio_api/upload", files=big, timeout=60).status_code == 413


def test_no_component_offers_to_share(components):
    for component in components:
        buttons = getattr(component, "buttons", None) or []
        assert "share" not in buttons, component
        assert not isinstance(component, gr.DeepLinkButton)


def test_images_are_neither_lossy_nor_clipped(components):
    images = [component for component in components if isinstance(component, gr.Image)]
    assert images
    for image in images:
        assert image.format == "png"
        assert image.image_mode is None
        assert image.type == "filepath"
        assert image.alt_text


def test_sixteen_bits_arrive_whole(address, sixteen_bit_png, tmp_path):
    path = tmp_path / "scan.png"
    path.write_bytes(sixteen_bit_png)
    answer = Client(address, verbose=False).predict(handle_file(path), "", api_name="/classify")
    assert "grey values were stretched" in answer[1]


def test_an_upload_leaves_no_file_with_content(address, uploads):
    path = ASSETS / "examples" / "ct.png"
    Client(address, verbose=False).predict(handle_file(path), "", api_name="/classify")
    assert [file for file in uploads.rglob("*") if file.is_file() and file.stat().st_size > 0] == []


def test_a_refused_upload_leaves_no_file_either(address, uploads, tmp_path):
    path = tmp_path / "scan.png"
    path.write_bytes(b"%PDF-1.7 not a picture")
    answer = Client(address, verbose=False).predict(handle_file(path), "", api_name="/classify")
    assert "PDF" in answer[1]
    assert [file for file in uploads.rglob("*") if file.is_file() and file.stat().st_size > 0] == []


def test_uploads_of_one_file_lie_apart(address, uploads):
    """Fails if an upgrade of Gradio no longer takes the class that `keep_uploads_apart` gives it."""
    sent = {"files": ("scan.png", b"the same bytes", "image/png")}
    paths = [Path(httpx2.post(f"{address}/gradio_api/upload", files=sent).json()[0]) for _ in range(2)]
    assert paths[0].parent != paths[1].parent
    for path in paths:
        assert path.is_relative_to(uploads)
        assert take(str(path)) == b"the same bytes"
        assert not path.parent.exists()


def test_columns_of_the_map_come_from_memory_and_nothing_else_does(address):
    answer = httpx2.get(f"{address}/map-columns/places")
    assert len(answer.content) == 4 * 420
    assert answer.headers["cache-control"] == "private, no-cache"
    again = httpx2.get(f"{address}/map-columns/places", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert len(httpx2.get(f"{address}/map-columns/0").content) == 420
    for wrong in ("99", "-1", "case_id", "²"):
        assert httpx2.get(f"{address}/map-columns/{wrong}").status_code == 404


def test_no_point_of_the_map_is_in_the_page(config):
    told = next(each for each in config["components"] if each["props"].get("elem_id") == "collection-map")
    assert len(json.dumps(told["props"]["value"])) < 2000
    without_script = told["props"] | {"js_on_load": ""}
    assert len(json.dumps(without_script)) < 30_000


def test_nothing_of_another_host_is_loaded(address, config):
    page = httpx2.get(address).text
    for host in ("fonts.googleapis.com", "fonts.gstatic.com", "cdn.plot.ly", "cdnjs"):
        assert host not in json.dumps(config)
        assert f'href="https://{host}' not in page
    assert config["stylesheets"] == []


def test_research_use_only_is_on_the_first_screen(config):
    first = next(component for component in config["components"] if component["type"] == "html")
    assert "Research use only" in first["props"]["value"]


def test_it_listens_on_this_machine_alone_unless_told_otherwise():
    default = launch_options(Settings.from_environment({}))
    assert (default["server_name"], default["server_port"]) == ("127.0.0.1", 7860)
    space = launch_options(Settings.from_environment({"SPACE_ID": "someone/space"}))
    assert space["server_name"] == "0.0.0.0"
    chosen = {"GRADIO_SERVER_NAME": "192.0.2.1", "GRADIO_SERVER_PORT": "8080"}
    options = launch_options(Settings.from_environment(chosen))
    assert (options["server_name"], options["server_port"]) == ("192.0.2.1", 8080)


def test_cached_files_are_swept_and_visits_are_few(services):
    blocks = build_app(services)
    assert blocks.delete_cache == (300, 900)
    assert launch_options(Settings.from_environment({}))["state_session_capacity"] <= 100
    states = [block for block in blocks.blocks.values() if isinstance(block, gr.State)]
    assert any(state.time_to_live and state.time_to_live <= 1800 for state in states)


def test_files_of_the_server_cannot_be_fetched(address):
    secret = Path(__file__).resolve()
    assert httpx2.get(f"{address}/gradio_api/file={secret}").status_code in (403, 404)


def test_a_slow_machine_is_no_reason_not_to_serve(monkeypatch):
    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)
    with Explorer() as page:
        gr.Markdown("slow")
    try:
        options: dict[str, Any] = {**launch_options(Settings.from_environment({})), "server_port": None}
        address = page.launch(prevent_thread_lock=True, **options)[1]
        assert httpx2.get(address).is_success
    finally:
        page.close()
