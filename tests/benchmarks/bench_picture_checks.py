"""How often real images are called wrong, and how often text that is drawn into them is found.

    python tests/benchmarks/bench_picture_checks.py $MERMED_DATA --images 24
    python tests/benchmarks/bench_picture_checks.py FOLDER --images 40 --enlarged

Prints a line for each data set (parquet files with a column `image`): which checks of a picture speak up, in
how many pictures text is seen, and in how many a line of text is found that was drawn on a dark band above
them, or over them. With --enlarged text is left out, and it is counted how many are called enlarged whose
pixels were repeated, or that were saved again, as JPEG.
"""

import argparse
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

from mermed_core.imaging.burned_text import find_text
from mermed_core.imaging.checks import concerns, is_enlarged
from mermed_core.imaging.fonts import font_file
from mermed_core.imaging.reader import read_image

WORDS = "DOE JANE 02.03.1961"
ROW_GROUPS = 3
REPEATED = ((60, 600), (64, 512), (96, 512), (96, 288), (64, 224))  # px
JUDGED = 5  # images of each set that are enlarged


def images(path: Path, count: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields the pixels of some images of a data set."""
    table = pq.ParquetFile(path)
    groups = random.choice(table.num_row_groups, min(ROW_GROUPS, table.num_row_groups), replace=False)
    share = -(-count // len(groups))
    for group in groups:
        column = table.read_row_group(int(group), columns=["image"])["image"]
        for row in random.choice(len(column), min(len(column), share), replace=False):
            yield read_image(column[int(row)].as_py()["bytes"]).pixels


def with_text(pixels: np.ndarray, random: np.random.Generator, *, band: bool) -> np.ndarray:
    """Returns pixels with a line of print at their upper left, or on a black band above them."""
    size = max(10, int(min(pixels.shape[:2]) * random.uniform(0.022, 0.05)))
    if band:
        pixels = np.vstack([np.zeros((size + 12, *pixels.shape[1:]), np.uint8), pixels])
    image = Image.fromarray(pixels)
    font = ImageFont.truetype(str(font_file()), size)
    ImageDraw.Draw(image).text((6, 6), WORDS, fill=(255, 255, 255), font=font)
    return np.asarray(image)


def as_jpeg(image: Image.Image, quality: int) -> np.ndarray:
    """Returns the pixels of an image that was saved as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def count_enlarged(pixels: np.ndarray, called: Counter[str], tried: Counter[str]) -> None:
    """Counts in how many ways a picture is called enlarged whose pixels are repeated, or saved again."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    for small, large in REPEATED:
        few = image.copy()
        few.thumbnail((small, small), Image.Resampling.BOX)
        size = (round(few.width * large / small), round(few.height * large / small))
        for quality in (95, 85, 75):
            way = f"{small} → {large} px, JPEG {quality}"
            tried[way] += 1
            called[way] += is_enlarged(as_jpeg(few.resize(size, Image.Resampling.NEAREST), quality))
    for quality in (75, 50, 30, 15):
        tried[f"saved again, JPEG {quality}"] += 1
        called[f"saved again, JPEG {quality}"] += is_enlarged(as_jpeg(image, quality))


def main() -> None:
    """Measures every data set of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--enlarged", action="store_true")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    called, tried = Counter(), Counter()
    for path in sorted(options.data.glob("*.parquet")):
        said, seen, found, count = Counter(), 0, Counter(), 0
        is_fundus = "fundus" in path.stem or "eye" in path.stem
        for pixels in images(path, options.images, random):
            count += 1
            said.update(concerns(pixels, "fundus" if is_fundus else ""))
            if options.enlarged:
                if count <= JUDGED:
                    count_enlarged(pixels, called, tried)
            elif find_text(pixels):
                seen += 1
            elif min(pixels.shape[:2]) >= 150:
                for band in (True, False):
                    found[band, bool(find_text(with_text(pixels, random, band=band)))] += 1
        on_band, over = (
            f"{found[band, True]}/{found[band, True] + found[band, False]}" for band in (True, False)
        )
        print(
            f"{path.stem:24} {count} images, {dict(said)}, text in {seen}; drawn: band {on_band}, over {over}"
        )
    for way, count in tried.items():
        print(f"{way}: {called[way]} of {count} are called enlarged")


if __name__ == "__main__":
    main()
