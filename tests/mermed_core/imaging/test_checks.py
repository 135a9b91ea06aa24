import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import median_filter

from mermed_core.files import ASSETS
from mermed_core.imaging import checks
from mermed_core.imaging.checks import concerns
from mermed_core.imaging.reader import read_image

EXAMPLES = {path.stem: read_image(path).pixels for path in sorted((ASSETS / "examples").glob("*.png"))}


def blurred(pixels: np.ndarray, radius: float) -> np.ndarray:
    image = Image.fromarray(pixels).resize((512, 512))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)))


def on_a_screen(pixels: np.ndarray) -> np.ndarray:
    """A picture on a screen of red, green and blue stripes, photographed at an angle of four degrees."""
    shown = np.asarray(Image.fromarray(pixels).resize((240, 240))).repeat(6, 0).repeat(6, 1)
    stripes = np.zeros(shown.shape)
    for colour in range(3):
        stripes[:, np.arange(shown.shape[1]) % 6 // 2 == colour, colour] = 2.2
    stripes[5::6] = 0
    lit = Image.fromarray(np.clip(shown * stripes, 0, 255).astype(np.uint8)).rotate(
        4, Image.Resampling.BICUBIC
    )
    photo = lit.filter(ImageFilter.GaussianBlur(1.2)).resize((552, 552), Image.Resampling.BILINEAR)
    return np.asarray(photo.crop((70, 70, 480, 480)))


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_said_of_a_good_picture(name):
    assert concerns(EXAMPLES[name], name) == ()


def test_what_is_wrong_is_said():
    fundus = EXAMPLES["fundus"]
    assert concerns(fundus[:50, :50], "fundus") == ("too_small",)
    assert concerns(np.full((200, 200, 3), 90, np.uint8), "ct") == ("nearly_empty",)
    assert concerns(EXAMPLES["cxr"] // 10, "cxr") == ("too_dark",)
    assert "blurred" in concerns(blurred(EXAMPLES["cxr"], 14), "cxr")
    middle = Image.fromarray(fundus).crop((60, 60, fundus.shape[1] - 60, fundus.shape[0] - 60))
    assert "fundus_cut" in concerns(np.asarray(middle), "fundus")
    assert "fundus_cut" not in concerns(np.asarray(middle), "dermatology")


@pytest.mark.parametrize("name", ["cxr", "ct", "dermatology"])
def test_a_photograph_of_a_screen_is_told_by_its_pattern(name):
    assert "of_a_screen" in concerns(on_a_screen(EXAMPLES[name]), name)


@pytest.mark.parametrize("name", ["ct", "dermatology", "pathology"])
@pytest.mark.parametrize(
    "way", [Image.Resampling.NEAREST, Image.Resampling.LANCZOS, Image.Resampling.BICUBIC]
)
def test_a_small_picture_that_was_enlarged_is_told_by_where_its_detail_ends(name, way):
    small = Image.fromarray(EXAMPLES[name]).resize((60, 60), Image.Resampling.BOX)
    assert concerns(np.asarray(small.resize((600, 600), way)), name) == ("enlarged",)


@pytest.mark.parametrize("name", ["cxr", "ct", "dermatology", "pathology"])
@pytest.mark.parametrize(("side", "enlarged"), [(60, 600), (96, 512)])
def test_a_picture_whose_pixels_were_repeated_is_told_when_it_was_saved_as_jpeg(name, side, enlarged):
    small = Image.fromarray(EXAMPLES[name]).resize((side, side), Image.Resampling.BOX)
    assert checks.is_enlarged(_saved(small.resize((enlarged, enlarged), Image.Resampling.NEAREST), 85))


@pytest.mark.parametrize("quality", [95, 85])
@pytest.mark.parametrize("name", ["cxr", "ct", "dermatology", "fundus", "pathology"])
@pytest.mark.parametrize(("side", "enlarged"), [(64, 224), (80, 256), (96, 288)])
def test_repeated_pixels_are_told_by_the_rate_of_their_steps(name, side, enlarged, quality):
    """Those of a picture of few pixels: their steps lie too close to be counted one by one."""
    small = Image.fromarray(EXAMPLES[name]).resize((side, side), Image.Resampling.BOX)
    assert checks.is_enlarged(_saved(small.resize((enlarged, enlarged), Image.Resampling.NEAREST), quality))


def test_pixels_that_were_left_out_are_no_repeated_ones():
    """They leave a rhythm, too: every so many lines one is missing."""
    for name in ("cxr", "ct", "dermatology", "pathology"):
        fewer = Image.fromarray(EXAMPLES[name]).resize((236, 236), Image.Resampling.NEAREST)
        assert not checks.is_enlarged(_saved(fewer, 85)), name


@pytest.mark.parametrize("quality", [85, 30])
def test_neither_the_blocks_of_jpeg_nor_a_picture_of_more_pixels_is_called_enlarged(quality):
    for name in ("cxr", "ct", "dermatology", "pathology"):
        image = Image.fromarray(EXAMPLES[name])
        assert not checks.is_enlarged(_saved(image, quality)), name
        doubled = image.resize((160, 160), Image.Resampling.BOX).resize((480, 480), Image.Resampling.NEAREST)
        assert not checks.is_enlarged(_saved(doubled, quality)), name


def _saved(image: Image.Image, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def test_the_colour_carrier_of_video_and_a_ridge_are_no_screen():
    down, across = np.mgrid[:512, :512]
    grain = np.random.default_rng(0).normal(120, 10, (512, 512))

    def seen(wave: np.ndarray) -> float:
        return checks.lattice(np.clip(grain + 12 * wave, 0, 255).astype(np.uint8)[..., None].repeat(3, 2))

    assert seen(np.cos(2 * np.pi * (0.2 * across + 0.11 * down))) > 5.5
    assert seen(np.cos(2 * np.pi * (0.3006 * across + 0.107 * down))) < 5.5
    lines = np.random.default_rng(1).normal(0, 3, 1200)  # as layers of a retina lie, nearly level
    assert seen(np.interp((30 * across + 400 * down) / 401, np.arange(1200), lines)) < 5.5


def test_the_local_median_is_scipys_to_a_twentieth():
    level = np.random.default_rng(0).exponential(2.0, (60, 40)) + 12
    own, exact = checks._local_median(level), median_filter(level, 9)
    assert np.abs(own - exact)[4:-4, 4:-4].max() <= 0.051
