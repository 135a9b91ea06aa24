import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mermed_core.files import ASSETS
from mermed_core.imaging.burned_text import find_text
from mermed_core.imaging.fonts import font_file
from mermed_core.imaging.reader import read_image

WORDS = "DOE JANE 02.03.1961"


def with_words(pixels: np.ndarray, size: int, place: tuple[int, int]) -> tuple[np.ndarray, tuple[int, ...]]:
    image = Image.fromarray(pixels)
    font = ImageFont.truetype(str(font_file()), size)
    drawn = ImageDraw.Draw(image)
    drawn.text(place, WORDS, fill=(255, 255, 255), font=font)
    return np.asarray(image), tuple(map(int, drawn.textbbox(place, WORDS, font=font)))


@pytest.mark.parametrize("path", sorted((ASSETS / "examples").glob("*.png")), ids=lambda path: path.stem)
def test_no_text_is_seen_where_there_is_none(path):
    assert find_text(read_image(path).pixels) == ()


@pytest.mark.parametrize(("side", "size"), [(300, 10), (512, 16), (1024, 24), (2000, 36)])
def test_print_is_found_and_its_box_covers_it(side, size):
    pixels, (left, top, right, bottom) = with_words(np.zeros((side, side, 3), np.uint8), size, (12, 20))
    boxes = find_text(pixels)
    assert boxes
    covered = pixels.copy()
    for box in boxes:
        covered[box.top : box.top + box.height, box.left : box.left + box.width] = 0
    inside = covered[top:bottom, left:right]
    assert np.mean(inside > 100) < 0.15 * np.mean(pixels[top:bottom, left:right] > 100)


def test_dark_print_on_white_is_found_too():
    pixels, _ = with_words(np.zeros((400, 400, 3), np.uint8), 16, (12, 20))
    assert find_text(255 - pixels)
