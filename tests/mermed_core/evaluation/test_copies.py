"""Flagged copies leave the test split and no other; anything else is a sentence."""

from unittest.mock import MagicMock

import pandas as pd
import pytest

from mermed_core.collections.quality.findings import CheckResult, Suspect
from mermed_core.collections.quality.findings_files import write_findings
from mermed_core.data.manifest import Manifest
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.copies import without_copies


@pytest.fixture
def manifest():
    return Manifest.from_frame(
        pd.DataFrame(
            {
                "case_id": ["a", "b", "c", "d"],
                "image": [b"1", b"2", b"3", b"4"],
                "modality": "ct",
                "source": "made",
                "split": ["train", "test", "test", "test"],
            }
        )
    )


@pytest.fixture
def findings(tmp_path):
    def write(pairs):
        suspects = tuple(Suspect(1.0, "copies", cases, flagged, {}) for cases, flagged in pairs)
        result = CheckResult("leakage", "Leakage", "", "", suspects, 0.5, ())
        collection = MagicMock(fingerprint="made", __len__=lambda _: 4)
        collection.name = "made"
        write_findings(tmp_path / "found", collection, [result])
        return tmp_path / "found" / "leakage.csv"

    return write


def test_flagged_copies_leave_the_test_split_alone(manifest, findings):
    left = without_copies(manifest, findings([(("a", "b"), True), (("c", "d"), False)]))
    assert list(left.frame["case_id"]) == ["a", "c", "d"]


def test_nothing_flagged_leaves_all(manifest, findings):
    assert len(without_copies(manifest, findings([(("a", "b"), False)]))) == 4


def test_a_table_of_other_images_is_a_sentence(manifest, findings):
    with pytest.raises(EvaluationError, match="No image"):
        without_copies(manifest, findings([(("x", "y"), True)]))


@pytest.mark.parametrize("text", [None, "", "rank,score\n1,2\n"])
def test_what_is_no_table_of_copies_is_a_sentence(manifest, tmp_path, text):
    if text is not None:
        (tmp_path / "leakage.csv").write_text(text, encoding="utf-8")
    with pytest.raises(EvaluationError, match="leakage"):
        without_copies(manifest, tmp_path / "leakage.csv")
