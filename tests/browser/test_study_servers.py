"""Opens a study of a named server by keyboard in Chromium, and a region of a slide at its full size."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from app.upload_limits import UploadLimits
from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.imaging.limits import Limits
from mermed_core.imaging.reader import read_image
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
STUDY = "1.2.826.0.1"


def test_a_study_of_a_server_is_opened_by_keyboard(browser: Browser, serve, scripted_server, ct_series):
    parts = [b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n" for data in ct_series]
    scripted_server.sends(b"".join(parts) + b"--xyz--", "multipart/related; boundary=xyz")
    settings = {
        "MERMED_COLLECTION": str(BUNDLED_COLLECTION),
        "MERMED_DICOMWEB": f"PACS={scripted_server.url}/web",
    }
    page = browser.new_page(viewport={"width": 1400, "height": 1100})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(serve(Settings.from_environment(settings)))
    page.get_by_role("button", name="Open a study from a server").focus()
    page.keyboard.press("Enter")
    field = page.locator("#classify-servers").get_by_role("textbox")
    expect(field).to_be_visible()
    found = Axe().run(page, context="#classify-servers").response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    field.fill("*")
    field.press("Enter")
    expect(page.locator("#classify-notice")).to_contain_text("names no study")
    assert scripted_server.asked == []
    field.fill(STUDY)
    field.press("Enter")
    expect(page.locator(".mm-slices output")).to_have_text("2 of 3")
    expect(page.locator("#classify-modality")).to_contain_text("CT")
    assert not any(STUDY in url for url in asked)
    page.close()


@pytest.fixture
def ct_series() -> list[bytes]:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    files = []
    for number in (1, 2, 3):
        data_set = pydicom.Dataset()
        data_set.SOPClassUID, data_set.SOPInstanceUID = CTImageStorage, generate_uid()
        data_set.StudyInstanceUID, data_set.SeriesInstanceUID = STUDY, f"{STUDY}.1"
        data_set.Modality, data_set.InstanceNumber = "CT", number
        data_set.ensure_file_meta()
        data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data_set.set_pixel_data(np.full((64, 64), 100 * number, np.uint16), "MONOCHROME2", 12)
        buffer = io.BytesIO()
        data_set.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    return files


def test_a_region_of_a_slide_is_read_at_full_size(browser: Browser, serve, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(UploadLimits, "file", Limits(max_pixels=500_000))
    whole = read_image(ASSETS / "examples" / "pathology.png").pixels
    pixels = np.ascontiguousarray(whole[:320, :320].repeat(4, axis=0).repeat(4, axis=1))
    with tifffile.TiffWriter(tmp_path / "slide.tiff") as file:
        file.write(pixels, subifds=1, photometric="rgb", tile=(256, 256), metadata=None)
        file.write(pixels[::4, ::4], subfiletype=1, photometric="rgb", tile=(256, 256), metadata=None)
    page = browser.new_page(viewport={"width": 1400, "height": 1100})
    page.goto(serve(Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})))
    page.set_input_files("#classify-file input[type=file]", tmp_path / "slide.tiff")
    expect(page.locator("#classify-notice")).to_contain_text("shown is level 2 of 2, 320 × 320 pixels")
    expect(page.locator(".mm-corner")).to_contain_text("1280 × 1280")
    page.locator(".mm-look").focus()
    page.keyboard.press("r")
    page.keyboard.press("Shift+ArrowRight")  # the middle half of the picture
    page.get_by_role("button", name="Analyse this view").click()
    expect(page.locator(".mm-saw p")).to_contain_text("The model saw: region 640 × 640 px")
    expect(page.locator("#classify-notice")).to_contain_text("The region was read at full size.")
    width = "async (image) => { await image.decode(); return image.naturalWidth; }"
    shown = page.locator("#classify-figure .mm-base[src]").evaluate(width)
    assert shown == 640
    page.close()
