"""Which rows of a table of figures are meant."""

from mermed_core.evaluation.results import AUROC, ECE, Figure, to_frame
from mermed_core.reports.selection import by_modality, over_tasks, overall


def test_classes_subgroups_draws_and_other_protocols_are_left_out_and_tasks_told_from_modalities():
    figures = to_frame(
        [
            Figure("a", "ct", "x", "few_shot", AUROC, 0.1),
            Figure("a", "ct", "x", "few_shot", ECE, 0.2),
            Figure("a", "ct", "x", "few_shot", AUROC, 0.3, seed=0),
            Figure("a", "ct", "x", "few_shot", AUROC, 0.4, label="ill"),
            Figure("a", "ct", "x", "few_shot", AUROC, 0.5, subgroup="sex=F"),
            Figure("a", "ct", "x", "knn", AUROC, 0.6),
            Figure("a", "ct", "", "few_shot", AUROC, 0.7),
            Figure("a", "ct", "", "few_shot", AUROC, 0.8, label="x/ill"),
            Figure("a", "ct", "", "knn", AUROC, 0.9),
        ]
    )
    assert overall(figures, "few_shot")["value"].tolist() == [0.1, 0.2]
    assert overall(figures, "few_shot", AUROC)["value"].tolist() == [0.1]
    assert over_tasks(figures, "few_shot")["value"].tolist() == [0.7]
    assert over_tasks(figures, "knn", ECE).empty


def test_modalities_come_in_their_own_order_and_rows_in_theirs():
    figures = to_frame(
        [
            Figure("a", modality, task, "knn", AUROC, 0.0)
            for modality, task in [("oct", "1"), ("ct", "2"), ("oct", "0"), ("cxr", "3")]
        ]
    )
    assert by_modality(figures)["task"].tolist() == ["2", "3", "1", "0"]
