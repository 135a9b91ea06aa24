"""The table of results: what is written is read again, and which rows are selected."""

import pandas as pd
import pytest

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.results import (
    COLUMNS,
    Result,
    by_modality,
    load_results,
    of_modalities,
    of_tasks,
    save_results,
    to_frame,
)
from mermed_core.metrics.catalogue import AUROC, ECE


def test_what_is_written_is_read_again_with_its_types(tmp_path):
    frame = to_frame(
        [
            Result("a", "ct", "x", "few_shot", AUROC, 0.1, shots=4, seed=2),
            Result("a", "ct", "x", "label_efficiency", AUROC, 0.1, share=0.01),
            Result("a", "ct", "x", "robustness", AUROC, 0.1, corruption="noise", severity=3),
        ]
    )
    save_results(tmp_path / "results.parquet", frame)
    again = load_results(tmp_path / "results.parquet")
    pd.testing.assert_frame_equal(again, frame)
    assert [again[name].dtype.kind for name in ("shots", "share", "k", "severity", "seed")] == list("ifiii")


def test_another_table_is_an_error(tmp_path):
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    to_frame([]).drop(columns="shots").to_parquet(tmp_path / "older.parquet")
    assert len(COLUMNS) == 19
    with pytest.raises(EvaluationError, match="is not a table of results"):
        load_results(tmp_path / "damaged.parquet")
    with pytest.raises(EvaluationError, match="has no column 'shots'; evaluate again"):
        load_results(tmp_path / "older.parquet")


def test_classes_subgroups_repeats_and_other_protocols_are_left_out():
    results = to_frame(
        [
            Result("a", "ct", "x", "few_shot", AUROC, 0.1),
            Result("a", "ct", "x", "few_shot", ECE, 0.2),
            Result("a", "ct", "x", "few_shot", AUROC, 0.3, seed=0),
            Result("a", "ct", "x", "few_shot", AUROC, 0.4, label="ill"),
            Result("a", "ct", "x", "few_shot", AUROC, 0.5, subgroup_column="sex", subgroup="F"),
            Result("a", "ct", "x", "knn", AUROC, 0.6),
            Result("a", "ct", "", "few_shot", AUROC, 0.7),
            Result("a", "ct", "", "few_shot", AUROC, 0.8, label="x/ill"),
            Result("a", "ct", "", "knn", AUROC, 0.9),
        ]
    )
    assert of_tasks(results, "few_shot")["value"].tolist() == [0.1, 0.2]
    assert of_tasks(results, "few_shot", AUROC)["value"].tolist() == [0.1]
    assert of_modalities(results, "few_shot")["value"].tolist() == [0.7]
    assert of_modalities(results, "knn", ECE).empty


def test_modalities_come_in_their_own_order_and_rows_in_theirs():
    results = to_frame(
        [
            Result("a", modality, task, "knn", AUROC, 0.0)
            for modality, task in [("oct", "1"), ("ct", "2"), ("oct", "0"), ("cxr", "3")]
        ]
    )
    assert by_modality(results)["task"].tolist() == ["2", "3", "1", "0"]
