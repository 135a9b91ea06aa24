"""The camera: its picture is analysed as it is, and where there is none a sentence says what to do."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

from .visit import visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
WIDTH, HEIGHT = 640, 480
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PLAIN = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FILMED = [*PLAIN, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
GREY = """image => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 32, height: 24 });
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, 32, 24);
    return [...context.getImageData(0, 0, 32, 24).data].filter((_, at) => at % 4 === 1);
}"""


def photographed() -> Image.Image:
    """Returns what lies before the camera: a fundus, whose optic disc is at one side."""
    return Image.open(ASSETS / "examples" / "fundus.png").convert("RGB").resize((WIDTH, HEIGHT))


def filmed(path: Path) -> Path:
    """Writes a film of it, as Chromium plays in place of a camera."""
    planes = np.asarray(photographed().convert("YCbCr"))
    frame = planes[..., 0].tobytes() + planes[::2, ::2, 1].tobytes() + planes[::2, ::2, 2].tobytes()
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode()
    path.write_bytes(head + 10 * (b"FRAME\n" + frame))
    return path


@pytest.fixture(scope="module")
def with_camera(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    film = filmed(tmp_path_factory.mktemp("film") / "fundus.y4m")
    own = [*FILMED, f"--use-file-for-fake-video-capture={film}"]
    started = browser.browser_type.launch(executable_path=CHROMIUM, args=own)
    yield started
    started.close()


@pytest.fixture(scope="module")
def without_camera(browser: Browser) -> Iterator[Browser]:
    started = browser.browser_type.launch(executable_path=CHROMIUM, args=PLAIN)
    yield started
    started.close()


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)}))


def asks(page: Page, address: str) -> None:
    """Opens the page and asks for the camera, as a visitor does."""
    page.set_default_timeout(60_000)
    visit(page, address)
    page.get_by_text("Paste or use the camera").click()
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()


@pytest.mark.parametrize("width", [1400, 390], ids=["wide", "phone"])
def test_what_the_camera_sees_is_analysed_and_is_not_mirrored(with_camera, address, width):
    page = with_camera.new_context(
        viewport={"width": width, "height": 844}, permissions=["camera"]
    ).new_page()
    asks(page, address)
    page.wait_for_function("document.querySelector('video')?.videoWidth > 0")
    page.get_by_label("capture photo").click()
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Colour fundus")
    expect(page.locator("#classify-camera-told p")).to_be_hidden()
    picture = page.locator("#classify-figure .mm-base")
    page.wait_for_function("document.querySelector('#classify-figure .mm-base')?.naturalWidth > 0")
    seen = np.array(picture.evaluate(GREY), float).reshape(24, 32)
    sent = np.asarray(photographed().getchannel("G").resize((32, 24)), float)
    alike, mirrored = (np.corrcoef(seen.ravel(), each.ravel())[0, 1] for each in (sent, sent[:, ::-1]))
    assert alike > 0.97 > mirrored
    page.context.close()


def test_a_camera_that_is_refused_or_missing_is_told_in_a_sentence(with_camera, without_camera, address):
    refusing = with_camera.new_context()  # nobody is asked here, so a page without leave is refused
    refusing.add_init_script(
        "navigator.mediaDevices.getUserMedia = async () => {"
        " throw new DOMException('Permission denied', 'NotAllowedError'); }"
    )
    page, told = refusing.new_page(), "#classify-camera-told p"
    asks(page, address)
    expect(page.locator(told)).to_contain_text("does not let this page use the camera")
    expect(page.locator(".mm-announcer")).to_contain_text("does not let this page use the camera")
    refusing.close()
    page = without_camera.new_page()
    asks(page, address)
    expect(page.locator(told)).to_contain_text("No camera was found")
    page.close()


def test_a_page_without_https_says_why_it_has_no_camera(without_camera, address):
    page = without_camera.new_page()
    page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    asks(page, address)
    expect(page.locator("#classify-camera-told p")).to_contain_text("begins with https")
    page.close()
