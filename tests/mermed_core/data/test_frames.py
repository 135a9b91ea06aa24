"""A row for every frame of a file, and every n-th of them."""

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mermed_core.data.frames import (
    count_readable_frames,
    expand_frames,
    keep_every,
    limited,
    with_own_frames,
)
from mermed_core.data.manifest import Manifest


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any), st.integers(1, 4))
def test_every_frame_has_a_row_and_every_nth_is_kept(counts, step):
    files = pd.DataFrame({"case_id": [f"f{row}" for row in range(len(counts))], "path": "/a", "source": "s"})
    rows = expand_frames(files.assign(modality="ct"), counts)
    manifest = Manifest.from_frame(rows, left_out={"damaged": 1})
    kept = keep_every(manifest, step)
    wanted = [
        f"f{row}/{frame:04d}" if count > 1 else f"f{row}"
        for row, count in enumerate(counts)
        for frame in range(0, count, step)
    ]
    assert kept.frame["case_id"].tolist() == wanted
    assert kept.frame["group"].str.fullmatch(r"f\d").all()
    assert len(kept) + sum(kept.left_out.values()) - 1 == sum(counts)


def test_a_file_that_is_not_trusted_must_look_like_an_image():
    left_out: Counter[str] = Counter()
    assert count_readable_frames(b"text", left_out, trusted=False) == 0
    assert left_out == {"files that are no images": 1}
    assert count_readable_frames(b"text", left_out, trusted=True) == 1  # told as damaged when it is read
    assert (limited(4096, left_out), limited(4097, left_out)) == (4096, 0)
    assert left_out["files of more than 4096 frames"] == 1


@pytest.mark.parametrize(
    ("paths", "column", "frames"),
    [
        (["a.png", "b.JPG"], "frame_number", [3, 4]),
        (["a.png", "b.dcm"], "frame", [0, 4]),
        (["a", None], "frame", [3, 4]),
    ],
)
def test_a_file_of_one_picture_has_no_frame(paths, column, frames):
    images = [None if path else b"II*\0" for path in paths]
    table = with_own_frames(pd.DataFrame({"path": paths, "image": images, "frame": [3, 4]}))
    assert table[column].tolist() == frames
    assert ("frame" in table) == (column == "frame")
