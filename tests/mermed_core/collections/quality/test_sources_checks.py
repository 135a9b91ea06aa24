"""Pictures that show little, drift between samples, and labels that the source alone predicts."""

import json

import numpy as np
import pandas as pd
import pytest

from mermed_core.cli import main
from mermed_core.cli.check import NAMES
from mermed_core.collections.quality.check import CHECKS, check_collection
from mermed_core.collections.quality.confounding import Frames, check_confounding, predicted
from mermed_core.collections.quality.drift import check_drift, drift_columns, two_sample_test
from mermed_core.collections.quality.findings_files import write_findings
from mermed_core.collections.quality.picture_faults import PictureNumbers, check_pictures
from mermed_core.errors import CollectionError


@pytest.fixture(scope="module")
def faulty(make_texture):
    """Thirty pictures, and one of each fault behind them."""
    good = [make_texture(seed) for seed in range(31)]
    soft = np.asarray(good[30][::16, ::16]).repeat(16, 0).repeat(16, 1).astype(float)
    for _ in range(60):
        soft = (soft + np.roll(soft, 1, 0) + np.roll(soft, 1, 1)) / 3
    faults = {
        "dark": good[0] // 12,
        "bright": 235 + good[1] // 13,
        "blurred": soft.astype(np.uint8),
        "little information": np.full((96, 96, 3), 120, np.uint8),
        "odd shape": good[2][:24],
        "odd size": good[3][::4, ::4],
    }
    return good[:30], faults


def test_each_fault_leads_the_list_of_its_kind_and_good_pictures_have_none(make_collection, faulty):
    good, faults = faulty
    numbers = PictureNumbers.empty(36)
    for row, pixels in enumerate([*good, *faults.values()]):
        numbers.put(row, np.ascontiguousarray(pixels))
    collection = make_collection(np.random.default_rng(0).normal(size=(36, 8)))
    result = check_pictures(collection, numbers, 100)
    flagged = {suspect.cases[0] for suspect in result.suspects if suspect.flagged}
    assert {f"c{row}" for row in range(30, 36)} <= flagged
    assert len(flagged) <= 7
    for row, fault in enumerate(faults, 30):
        named = {s.details["fault"] for s in result.suspects if s.flagged and s.cases == (f"c{row}",)}
        assert fault in named


def test_cases_without_a_picture_are_counted(make_collection):
    numbers = PictureNumbers.empty(3)
    result = check_pictures(make_collection(np.eye(3)), numbers, 5)
    assert not result.suspects
    assert result.notes == ("3 cases have no picture here and were not looked at.",)


def test_samples_that_differ_have_a_small_p_value_and_those_of_one_distribution_do_not():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(200, 12)).astype(np.float32)
    second = np.arange(200) % 2 == 1
    same = two_sample_test(vectors, second, np.arange(200), permutations=199)
    assert same.p_value > 0.05
    vectors[second, 0] += 2.5
    moved = two_sample_test(vectors, second, np.arange(200), permutations=199)
    assert moved.p_value == 1 / 200
    assert moved.effect > same.effect + 0.2


def test_p_values_without_drift_are_spread_evenly():
    """Among forty tests of nothing, about a tenth has a p value of a tenth; patients have ten images each."""
    below = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        groups = np.repeat(np.arange(24), 10)
        vectors = (random.normal(size=(24, 6))[groups] + random.normal(size=(240, 6)) / 2).astype(np.float32)
        below += two_sample_test(vectors, groups % 2 == 0, groups, permutations=99, seed=seed).p_value <= 0.1
    assert below <= 9  # the chance of more is 1 %


def test_drift_between_sources_and_dates_is_told_with_where_it_is(make_collection):
    random = np.random.default_rng(1)
    vectors = random.normal(size=(120, 8))
    vectors[60:, 0] += 4
    days = pd.date_range("2020-01-01", periods=120).strftime("%Y-%m-%d")
    sources = ["a"] * 60 + ["b"] * 60
    collection = make_collection(vectors, source=sources, date=days)
    (by_source,) = check_drift(collection, 10).suspects
    assert (by_source.flagged, by_source.details["first"], by_source.details["second"]) == (True, "a", "b")
    assert by_source.details["p_value"] == 0.001
    assert float(by_source.details["second_map_x"] or 0) > float(by_source.details["first_map_x"] or 0)
    (by_date,) = check_drift(collection, 10, column="date").suspects
    assert {by_date.details["first"], by_date.details["second"]} == {"until 2020-02-29", "after 2020-02-29"}
    assert by_date.flagged
    assert by_date.reason.startswith("CT images by date, until 2020-02-29 and after 2020-02-29: ")
    assert check_drift(collection, 10, column="date").title == "Drift by date"
    with pytest.raises(CollectionError, match="--keep scanner"):
        check_drift(collection, 10, column="scanner")


def test_what_drift_can_be_looked_for_by_are_dates_numbers_and_few_names(make_collection):
    count = 40
    kept = {
        "acquired": pd.date_range("2020-01-01", periods=count).strftime("%Y-%m-%d"),
        "read": pd.date_range("2020-01-01", periods=count).tz_localize("UTC").strftime("%Y-%m-%dT%H:%M:%SZ"),
        "age": np.arange(count),
        "weight": [str(70 + row / 2) if row % 5 else "" for row in range(count)],
        "scanner": ["GE", "Siemens"] * 20,
        "remark": [f"as in letter {row}" for row in range(count)],
        "site": ["only one"] * count,
    }
    collection = make_collection(np.random.default_rng(0).normal(size=(count, 8)), **kept)
    columns = drift_columns(collection.records)
    assert columns == ("acquired", "read", "age", "weight", "scanner")
    for column, samples in (
        ("read", ("until 2020-01-20", "after 2020-01-20")),
        ("age", ("up to 19", "above 19")),
    ):
        (found,) = check_drift(collection, 5, column=column).suspects
        assert {found.details["first"], found.details["second"]} == set(samples)
    splits = make_collection(np.eye(count), split=["train", "test"] * 20)
    assert drift_columns(splits.records) == ("split",)


def test_a_label_that_only_one_source_has_follows_from_the_source(make_collection):
    vectors = np.random.default_rng(2).normal(size=(120, 8))
    collection = make_collection(
        vectors,
        source=["a"] * 60 + ["b"] * 60,
        labels=[["covid" if row < 60 and row % 2 else "normal"] for row in range(120)],
    )
    found = {
        (s.details["trace"], s.details["label"]): s.score
        for s in check_confounding(collection, None, 50).suspects
    }
    assert found["source", "covid"] == pytest.approx(5 / 6)  # 30 of 60 in one source, 0 of 60 in the other


def test_a_mark_in_the_frame_of_the_picture_is_found_and_one_in_its_middle_is_not(
    make_collection, make_texture
):
    labels = [["ill" if row % 2 else "well"] for row in range(120)]
    collection = make_collection(np.random.default_rng(3).normal(size=(120, 8)), labels=labels)
    aurocs = []
    for place in (slice(0, 8), slice(40, 56)):
        frames = Frames.empty(120)
        for row in range(120):
            pixels = make_texture(row).copy()
            if row % 2:
                pixels[place, place] = 255
            frames.put(row, pixels)
        found = check_confounding(collection, frames, 50).suspects
        aurocs.append(max(suspect.score for suspect in found if suspect.details["trace"] == "frame"))
    assert aurocs[0] > 0.9 > aurocs[1]


def test_what_predicts_nothing_has_an_auroc_about_a_half():
    random = np.random.default_rng(4)
    assert 0.35 < predicted(random.normal(size=(200, 5)), np.arange(200) % 2 == 0, np.arange(200)) < 0.65


def test_the_command_knows_every_check():
    assert NAMES == CHECKS


def test_findings_are_written_as_json_and_a_table_a_check(make_collection, tmp_path):
    vectors = np.random.default_rng(6).normal(size=(60, 8))
    vectors[59] = vectors[3]
    ids = [f"c{row}" for row in range(59)] + ["=cmd()"]
    collection = make_collection(vectors, case_id=ids, split=["train"] * 59 + ["test"])
    results = list(check_collection(collection))
    names = [result.name for result in results]
    assert names == [
        "duplicates",
        "leakage",
        "labels",
        "outliers",
        "modalities",
        "regions",
        "drift",
        "confounding",
    ]
    assert all(result.measure.endswith(".") and result.accuracy.endswith(".") for result in results)
    write_findings(tmp_path / "out", collection, results)
    stored = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert [check["name"] for check in stored["checks"]] == names
    assert stored["checks"][1]["suspects"][0]["cases"] == ["c3", "=cmd()"]
    table = pd.read_csv(tmp_path / "out" / "leakage.csv")
    assert list(table[["rank", "flagged", "case_1", "case_2"]].iloc[0]) == [1, True, "c3", "'=cmd()"]


def test_the_command_prints_a_summary_and_writes_findings(collection_folder, tmp_path, capsys):
    out = tmp_path / "findings"
    assert (
        main(
            [
                "check",
                str(collection_folder),
                "--out",
                str(out),
                "--check",
                "duplicates",
                "--check",
                "pictures",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "Near-duplicates:" in printed
    assert "Pictures that show little:" in printed
    assert "Outliers" not in printed
    assert {path.name for path in out.iterdir()} == {
        "findings.json",
        "duplicates.csv",
        "leakage.csv",
        "pictures.csv",
    }
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    assert main(["check", str(collection_folder), "--out", str(tmp_path / "other")]) == 1
    assert main(["check", str(tmp_path / "nowhere")]) == 1
