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


def test_the_fainter_lines_of_a_block_are_covered_with_its_first():
    """Print over what is bright stands out less, line by line, and words may lie further apart."""
    lines = "DOE, JANE   F 64Y\nMRN 0012345\n12.03.2024 10:14"
    ground = np.clip(np.arange(300)[:, None] * 4 + 100, 0, 205).repeat(500, 1).astype(np.uint8)
    image = Image.fromarray(np.stack([ground] * 3, -1))
    drawn = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(font_file()), 22)
    drawn.multiline_text((14, 6), lines, fill=(255, 255, 255), font=font)
    covered = np.asarray(image).copy()
    boxes = find_text(covered)
    for box in boxes:
        covered[box.top : box.top + box.height, box.left : box.left + box.width] = 0
    assert (covered == 255).sum() < 0.05 * (np.asarray(image) == 255).sum()
    assert len(boxes) < 6
    assert sum(box.height * box.width for box in boxes) < 0.2 * 300 * 500
