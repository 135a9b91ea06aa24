"""The written table holds everything that results, subgroups and intervals are measured from."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mermed_core.evaluation.measurement import measure, measure_subgroups
from mermed_core.evaluation.predictions import Predictions, to_long


def predictions(**columns) -> Predictions:
    generator = np.random.default_rng(0)
    targets = np.eye(2)[np.arange(40) % 2]
    return Predictions(
        "e",
        "knn",
        "lung",
        "ct",
        "multiclass",
        ("a", "b"),
        np.array([f"image {row}" for row in range(40)]),
        np.array([f"patient {row // 2}" for row in range(40)]),
        targets,
        (generator.dirichlet([1, 1], 40) + targets) / 2,
        pd.DataFrame(columns),
    )


def read_back(table: pd.DataFrame) -> Predictions:
    """Makes predictions of what the table says, as somebody would who has nothing else."""
    images = table[::2]
    return replace(
        predictions(),
        case_ids=images["case_id"].to_numpy(),
        groups=images["group"].to_numpy(),
        targets=table["target"].to_numpy().reshape(-1, 2),
        probabilities=table["probability"].to_numpy().reshape(-1, 2),
        columns=images.reset_index(drop=True),
    )


def test_every_interval_can_be_computed_again_from_the_written_table(tmp_path):
    sexes, ages = ["F", None, "M", "M"] * 10, [*range(20, 59), np.nan]
    predicted = predictions(sex=sexes, age=ages)
    to_long(predicted, ["sex", "age"]).to_parquet(tmp_path / "predictions.parquet")
    again = read_back(pd.read_parquet(tmp_path / "predictions.parquet"))
    # As tables: NaN, as of a gap without interval, is not equal to itself.
    for results, repeated in (
        (measure(predicted, resamples=20), measure(again, resamples=20)),
        *(
            (measure_subgroups(predicted, name, resamples=20), measure_subgroups(again, name, resamples=20))
            for name in ("sex", "age")
        ),
    ):
        pd.testing.assert_frame_equal(pd.DataFrame(results), pd.DataFrame(repeated))


def test_tables_of_numbers_and_of_words_are_written_together(tmp_path):
    tables = [to_long(predictions(age=ages), ["age"]) for ages in ([40] * 40, ["40 to 49"] * 40, [None] * 40)]
    pd.concat(tables, ignore_index=True).to_parquet(tmp_path / "all.parquet")
    ages = pd.read_parquet(tmp_path / "all.parquet")["age"]
    assert ages.dropna().unique().tolist() == ["40", "40 to 49"]
    assert ages.isna().sum() == 80


def test_a_column_that_is_called_like_one_of_the_table_is_kept_beside_it():
    table = to_long(predictions(label=["left", "right"] * 20), ["label"])
    assert table["label"].tolist() == ["a", "b"] * 40
    assert table["label_"].tolist() == ["left", "left", "right", "right"] * 20


def test_columns_that_are_not_wanted_stay_out():
    assert list(to_long(predictions(offset=[0] * 40))) == [
        "encoder",
        "protocol",
        "task",
        "modality",
        "kind",
        "case_id",
        "group",
        "label",
        "target",
        "probability",
    ]
