import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mermed_core.data.manifest import Manifest
from mermed_core.data.splits import divided_groups, split_by_group
from mermed_core.errors import ManifestError


def manifest(
    groups: list[str], splits: list[str] | None = None, sources: list[str] | None = None
) -> Manifest:
    frame = pd.DataFrame({"group": groups, "modality": "ct"})
    frame["source"] = sources or "set"
    frame["path"] = [f"/{row}.png" for row in range(len(groups))]
    frame["split"] = splits or ""
    return Manifest.from_frame(frame)


def split_of(drawn: Manifest) -> dict[str, str]:
    return dict(zip(drawn.frame["group"], drawn.frame["split"], strict=True))


group_lists = st.lists(
    st.sampled_from([f"patient {number}" for number in range(30)]), min_size=1, max_size=60
)


@settings(max_examples=20, deadline=None)
@given(group_lists, group_lists, st.integers(0, 5))
def test_a_group_is_never_divided_and_later_images_move_no_other(first, later, seed):
    drawn = split_by_group(manifest(first), seed=seed)
    assert drawn.frame.groupby("group")["split"].nunique().max() == 1
    assert set(drawn.frame["split"]) <= {"train", "val", "test"}
    grown = split_of(split_by_group(manifest(later + first), seed=seed))
    assert split_of(drawn).items() <= grown.items()


def test_parts_approach_the_fractions_and_seeds_differ():
    many = manifest([f"patient {number}" for number in range(4000)])
    drawn = split_by_group(many, fractions=(0.7, 0.2, 0.1))
    parts = drawn.frame["split"].value_counts(normalize=True)
    # Four standard deviations of a share of 4000 independent draws are at most 0.03.
    np.testing.assert_allclose([parts["train"], parts["val"], parts["test"]], [0.7, 0.2, 0.1], atol=0.03)
    assert drawn == split_by_group(many, fractions=(0.7, 0.2, 0.1))
    assert drawn != split_by_group(many, fractions=(0.7, 0.2, 0.1), seed=1)


def test_the_draw_is_the_start_of_a_sha256_on_every_machine():
    names = [f"patient {number}" for number in range(40)]
    drawn = split_of(split_by_group(manifest(names), fractions=(0.5, 0.25, 0.25), seed=3))
    for name in names:
        first_digit = int(hashlib.sha256(b"3\0" + name.encode()).hexdigest()[0], 16)
        assert drawn[name] == ("train" if first_digit < 8 else "val" if first_digit < 12 else "test")


def test_a_part_of_zero_stays_empty():
    drawn = split_by_group(
        manifest([f"patient {number}" for number in range(200)]), fractions=(0.5, 0.5, 0.0)
    )
    assert set(drawn.frame["split"]) == {"train", "val"}


def test_splits_that_are_given_stay_and_draw_in_their_group():
    names = [f"patient {number}" for number in range(20)]
    given_splits = ["test"] * 20 + [""] * 20
    drawn = split_by_group(manifest(names * 2, given_splits))
    assert set(drawn.frame["split"]) == {"test"}


def test_a_group_in_two_splits_is_named():
    with pytest.raises(ManifestError, match="row 2, column 'split': group 'p' lies in train and in test"):
        split_by_group(manifest(["p", "q", "p"], ["train", "", "test"]))


def test_groups_in_several_splits_are_listed():
    given_splits = ["train", "test", "test", "", "val", "train"]
    assert divided_groups(manifest(["q", "p", "q", "p", "a", "a"], given_splits)) == ["a", "q"]
    assert divided_groups(manifest(["p", "p"])) == []


def test_patients_of_two_sources_are_two_though_they_share_a_name():
    images = manifest(["12", "12", "12"], ["train", "test", ""], ["a", "b", "b"])
    assert divided_groups(images) == []
    assert split_by_group(images).frame["split"].tolist() == ["train", "test", "test"]


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)]
)
def test_fractions_that_do_not_divide_one_are_refused(fractions):
    with pytest.raises(ManifestError, match="sum to 1"):
        split_by_group(manifest(["p"]), fractions=fractions)
