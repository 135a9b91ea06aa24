"""Tables: the right number in the right cell, and the best of a row."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from mermed_core.evaluation import report_tables as tables
from mermed_core.evaluation.results import Result, to_frame
from mermed_core.metrics.catalogue import AUROC
from mermed_core.reports.document import Table


def probe(encoder: str, modality: str, task: str, value: float, **further) -> Result:
    return Result(encoder, modality, task, "linear_probe", AUROC, value, images=20, groups=10, **further)


def cells(table: Table) -> list[dict[str, str]]:
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def best(table: Table) -> set[str]:
    return {table.rows[row][column] for row, column in table.best}


def test_the_modality_table_holds_means_and_intervals_beside_the_paper(published):
    results = to_frame(
        [
            probe("b", "oct", "", 0.9, low=0.85, high=0.94),
            probe("a", "oct", "", 0.805),
            probe("b", "ct", "", 0.75),
            probe("a", "ct", "", 0.775, low=0.7, high=0.8),
            probe("a", "ct", "z", 0.1),
            probe("a", "ct", "z", 0.1, label="class"),
        ]
    )
    table = tables.modality_table(results, published)
    assert table.header == ("Modality", "b", "a", "MerMED-FM paper (other data)")
    assert table.rows == (
        ("CT", "0.750", "0.775 (0.700–0.800)", "0.943"),
        ("OCT", "0.900 (0.850–0.940)", "0.805", "0.988"),
        ("Mean", "0.825", "0.790", "0.966"),
    )
    assert table.best == {(0, 2), (1, 1), (2, 1)}


def test_no_mean_is_given_over_other_modalities_than_those_of_the_table(published):
    results = to_frame(
        [probe("a", "ct", "", 0.7), probe("b", "ct", "", math.nan), probe("a", "oct", "", 0.9)]
    )
    table = tables.modality_table(results, published)
    assert table.rows == (
        ("CT", "0.700", "–", "0.943"),
        ("OCT", "0.900", "–", "0.988"),
        ("Mean", "0.800", "–", "0.966"),
    )
    assert not table.best


def test_means_over_a_modality_are_no_task(evaluation):
    alone = evaluation.results[evaluation.results["task"] != ""]
    for make in (tables.task_table, tables.class_tables, tables.subgroup_tables, tables.robustness_table):
        assert make(evaluation.results) == make(alone)
    for protocol in ("linear_probe", "few_shot"):
        assert tables.metric_tables(evaluation.results, protocol) == tables.metric_tables(alone, protocol)


def test_the_task_table_holds_value_and_interval():
    results = to_frame(
        [
            probe("a", "ct", "x", 0.91, low=0.854, high=0.956),
            probe("b", "ct", "x", 0.9103),
            probe("a", "cxr", "y", math.nan),
            probe("b", "cxr", "y", 0.5),
            probe("c", "cxr", "y", 0.4),
        ]
    )
    table = tables.task_table(results)
    assert table.header == ("Task", "Modality", "Test images", "Groups", "a", "b", "c")
    assert table.rows == (
        ("x", "CT", "20", "10", "0.910 (0.854–0.956)", "0.910", "–"),
        ("y", "Chest X-ray", "20", "10", "–", "0.500", "0.400"),
    )
    assert table.best == {(0, 4), (0, 5), (1, 5)}  # equal to three digits: both are best


def test_sets_of_medmnist_stand_beside_what_is_published(published):
    results = to_frame([probe("a", "cxr", "chestmnist", 0.75), probe("a", "ct", "x", 0.9)])
    (row,) = cells(tables.medmnist_table(results, published))
    assert row["a"] == "0.750"
    assert row["ResNet-50 (224), published"] == "0.773"
    assert row["auto-sklearn, published"] == "0.649"
    blood = tables.medmnist_table(to_frame([probe("a", "pathology", "bloodmnist", 0.9)]), published)
    assert cells(blood)[0]["AutoKeras, published"] == "–"


def test_every_metric_has_its_table_and_its_direction(evaluation):
    made = {table.caption: table for table in tables.metric_tables(evaluation.results, "linear_probe")}
    assert set(made) == {
        "AUROC",
        "Average precision",
        "Balanced accuracy",
        "F1",
        "Calibration error (ECE)",
        "Brier score",
    }
    assert made["F1"].rows[0] == ("head_ct", "0.700 (0.650–0.740)", "0.740 (0.690–0.780)")
    assert made["F1"].best == {(0, 2), (1, 2)}
    assert made["Brier score"].rows[1] == ("busi", "0.280", "0.240")
    assert made["Brier score"].best == {(0, 2), (1, 2)}
    assert best(made["Calibration error (ECE)"]) == {"0.260", "0.240"}
    assert "AUROC" not in {
        table.caption for table in tables.metric_tables(evaluation.results, "knn", without=AUROC)
    }


def test_sizes_are_columns_in_their_order_and_single_subsets_are_left_out(evaluation):
    shuffled = evaluation.results.sample(frac=1, random_state=0)
    made = {table.caption: table for table in tables.subset_tables(shuffled, "few_shot")}
    assert set(made) == {"random", "better"}
    assert made["random"].header == ("Task", "1-shot", "4-shot", "16-shot")
    rows = {row[0]: row for row in made["random"].rows}
    assert rows["head_ct"][1:3] == ("0.500 (0.480–0.520)", "0.650 (0.630–0.670)")
    shares = tables.subset_tables(evaluation.results, "label_efficiency")[0]
    assert shares.header == ("Task", "1 %", "10 %", "100 %")
    assert shares.rows[0][3] == "0.700"


def test_classes_are_shown_where_there_are_three(evaluation):
    (table,) = tables.class_tables(evaluation.results)
    assert table.caption == "busi"
    assert [row[0] for row in table.rows] == ["benign", "malignant", "normal"]


def test_subgroups_are_shown_with_their_gap(evaluation):
    table = tables.subgroup_tables(evaluation.results)[0]
    assert table.caption == "Linear probe: head_ct by sex"
    assert table.rows == (
        ("F", "30", "30", "0.700", "0.740"),
        ("M", "30", "30", "0.600", "0.640"),
        ("gap", "60", "30", "0.100 (0.020–0.200)", "0.100 (0.020–0.200)"),
    )


def test_retrieval_is_a_row_for_each_task_and_encoder(evaluation):
    whole = Result("better", "ct", "", "retrieval", "map", 0.25, 0.2, 0.3, images=80, groups=40)
    results = pd.concat([evaluation.results, to_frame([whole])])
    rows = cells(tables.retrieval_table(results))
    assert [(row["Task"], row["Encoder"]) for row in rows] == [
        ("head_ct", "random"),
        ("head_ct", "better"),
        ("all of CT", "better"),
        ("busi", "random"),
        ("busi", "better"),
    ]
    assert rows[0] == {
        "Task": "head_ct",
        "Encoder": "random",
        "Test images": "60",
        "Groups": "30",
        "mAP": "0.500 (0.650–0.740)",
        "Precision at 1": "0.690 (0.650–0.740)",
        "Precision at 10": "0.600 (0.650–0.740)",
        "Recall at 1": "0.710 (0.650–0.740)",
        "Recall at 10": "0.800 (0.650–0.740)",
    }
    assert (rows[2]["mAP"], rows[2]["Test images"]) == ("0.250 (0.200–0.300)", "80")
    assert rows[2]["Recall at 1"] == "–"


def test_retrieval_by_class_is_a_table_an_encoder_with_support_and_intervals():
    def hits(encoder: str, modality: str, task: str, label: str) -> list[Result]:
        blank = Result(encoder, modality, task, "retrieval", "map", 0.5, 0.4, 0.6, 9, 7, label=label)
        recall = replace(blank, metric="recall", k=5, value=0.8, low=math.nan, high=math.nan)
        return [recall, blank, replace(recall, metric="precision"), replace(blank, label="")]

    tasks = [
        ("oct", "z", "dry"),
        ("oct", "", "z/dry"),
        ("ct", "x", "ill"),
        ("ct", "y", "ill"),
        ("ct", "", "x/ill"),
    ]
    results = to_frame([result for encoder in "ba" for task in tasks for result in hits(encoder, *task)])
    made = tables.retrieval_class_tables(results)
    assert [table.caption for table in made] == ["By class: b", "By class: a"]
    header = ("Modality", "Task", "Class", "Test images", "Groups", "mAP", "Recall at 5")
    numbers = ("9", "7", "0.500 (0.400–0.600)", "0.800")
    for table in made:
        assert table.header == header
        assert table.rows == (
            ("CT", "x", "ill", *numbers),
            ("CT", "y", "ill", *numbers),
            ("CT", "all of CT", "x/ill", *numbers),
            ("OCT", "z", "dry", *numbers),  # all of OCT would be the same again
        )


def test_robustness_names_the_worst_corruption(evaluation):
    row = cells(tables.robustness_table(evaluation.results))[0]
    assert (row["Clean"], row["Corrupted, mean"], row["Loss"]) == ("0.700", "0.655", "0.045")
    assert row["Worst corruption"] == "blur 0.640"
    bounded = evaluation.results.assign(low=0.6, high=0.8)
    row = cells(tables.robustness_table(bounded))[0]
    assert (row["Clean"], row["Corrupted, mean"]) == ("0.700 (0.600–0.800)", "0.655 (0.600–0.800)")
    clean = evaluation.results[evaluation.results["corruption"] == ""]
    assert cells(tables.robustness_table(clean))[0]["Worst corruption"] == "–"


def test_comparisons_have_a_table_for_each_metric_with_stars(evaluation):
    made = tables.comparison_tables(evaluation.comparisons)
    assert [table.caption for table in made] == [
        "Linear probe: AUROC",
        "Linear probe: Calibration error (ECE)",
    ]
    row = cells(made[0])[0]
    assert (row["First"], row["Second"]) == ("random", "better")
    assert row["First − second"] == "−0.060 (−0.100 to −0.012)"
    assert (row["p"], row["p, corrected"]) == ("<0.001", "0.004**")


@pytest.mark.parametrize("protocol", ["linear_probe", "few_shot", "retrieval"])
def test_no_results_make_tables_without_rows(published, protocol):
    nothing = to_frame([])
    assert tables.metric_tables(nothing, protocol) == tables.subset_tables(nothing, protocol) == []
    assert tables.retrieval_table(nothing).rows == tables.robustness_table(nothing).rows == ()
    assert tables.medmnist_table(nothing, published).rows == tables.task_table(nothing).rows == ()
    assert tables.modality_table(nothing, published).rows == ()
    assert tables.class_tables(nothing) == tables.subgroup_tables(nothing) == []
    assert tables.retrieval_class_tables(nothing) == []
