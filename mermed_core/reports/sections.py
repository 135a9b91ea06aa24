"""The sections of a report, each with a sentence that says how to read it."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from mermed_core.reports import tables
from mermed_core.evaluation.results import AUROC
from mermed_core.evaluation.published_results import Published
from mermed_core.reports.selection import by_modality
from mermed_core.reports.tables import Table

RESEARCH_USE = "Research use only. Not a medical device; not for diagnosis, triage or treatment."

_Make = Callable[[pd.DataFrame, pd.DataFrame, Published], list[Table]]

_INTERVAL = (
    "In brackets the 95 % interval: percentiles of a bootstrap that draws whole groups (patients, lesions or "
    "tiles of origin) with replacement."
)
_DRAWS = (
    "The mean over draws of training images, in brackets its 95 % t-interval: it tells how much the draw "
    "matters, not how few test images there are."
)


@dataclass(frozen=True)
class Section:
    """Tables under one heading.

    Attributes:
        title: the heading.
        reading: how to read them.
        tables: one or more, each with at least one row.
    """

    title: str
    reading: str
    tables: tuple[Table, ...]


def sections(figures: pd.DataFrame, comparisons: pd.DataFrame, published: Published) -> list[Section]:
    """Returns every section that has something to show."""
    figures = by_modality(figures)
    sources = {"paper": published.modality_source, "medmnist": published.medmnist_source}
    made = [
        Section(
            title,
            reading.format(**sources),
            tuple(table for table in make(figures, comparisons, published) if table.rows),
        )
        for title, reading, make in _CONTENTS
    ]
    return [section for section in made if section.tables]


# Title, reading and tables of every section; the source of what is published stands in for its name.
_CONTENTS: tuple[tuple[str, str, _Make], ...] = (
    (
        "AUROC by modality",
        "Linear probes on frozen embeddings: macro AUROC (each class against the rest, all classes counting "
        "alike), mean over the tasks of a modality; a dash where an encoder was not measured on all of them. "
        "In brackets the 95 % interval: whole groups are drawn with replacement in each task, and the draws "
        "of the tasks averaged; it does not tell what other tasks would show. The last column is what the "
        "paper reports of its own sets. Those are other data: take it as orientation, not as a comparison. "
        "Source: {paper}.",
        lambda figures, _, published: [tables.modality_table(figures, published)],
    ),
    (
        "AUROC by task",
        f"Linear probes on frozen embeddings, macro AUROC on the test split. {_INTERVAL}",
        lambda figures, *_: [tables.task_table(figures)],
    ),
    (
        "MedMNIST beside published figures",
        "AUROC of linear probes here and of models that were trained on a set from end to end, with the side "
        "of their images in pixels. A dash: not checked against a second copy. Source: {medmnist}.",
        lambda figures, _, published: [tables.medmnist_table(figures, published)],
    ),
    (
        "Differences between encoders",
        "Every two encoders are measured on the same draws of groups (paired bootstrap, with the more draws "
        "the more comparisons there are, as no p is below 2 / (1 + draws)), or compared by DeLong's test "
        "where there are two classes and one image a group. p is two-sided, and corrected by Holm's method "
        "for all comparisons of one metric and method. Stars stand for a corrected p below 0.05 (*), 0.01 "
        "(**) and 0.001 (***). No star is no proof that there is no difference.",
        lambda _, comparisons, __: tables.comparison_tables(comparisons),
    ),
    (
        "Further metrics",
        f"Linear probes on frozen embeddings. {_INTERVAL} Of calibration error and Brier score less is "
        "better, of the others more. Of two classes, average precision and F1 are means over both, not those "
        "of a positive one. The Brier score is the squared error summed over the classes, 0 to 2 (of two "
        "classes twice the usual score of one); in multi-label sets it is the mean over them, 0 to 1.",
        lambda figures, *_: tables.metric_tables(figures, "linear_probe", without=AUROC),
    ),
    (
        "By class",
        f"Linear probes on frozen embeddings, AUROC of each class against the rest. {_INTERVAL}",
        lambda figures, *_: tables.class_tables(figures),
    ),
    (
        "Subgroups",
        f"AUROC within parts of the test images. {_INTERVAL} The gap is the largest minus the smallest. It "
        "is never below 0, and chance alone makes it larger the fewer images a part has.",
        lambda figures, *_: tables.subgroup_tables(figures),
    ),
    (
        "k nearest neighbours",
        f"Votes of the nearest training images by cosine, their number chosen on the val split. {_INTERVAL}",
        lambda figures, *_: tables.metric_tables(figures, "knn"),
    ),
    (
        "Few-shot",
        f"Linear probes fitted on a few images of each class, macro AUROC. {_DRAWS}",
        lambda figures, *_: tables.setting_tables(figures, "few_shot"),
    ),
    (
        "Label efficiency",
        f"Linear probes fitted on a share of the training images, macro AUROC. {_DRAWS}",
        lambda figures, *_: tables.setting_tables(figures, "label_efficiency"),
    ),
    (
        "Fine-tuning",
        f"The encoder is trained together with the head. {_INTERVAL}",
        lambda figures, *_: tables.metric_tables(figures, "fine_tuning"),
    ),
    (
        "Cross-validation",
        f"Linear probes; every group is tested once, by a probe that was not fitted on it. {_INTERVAL}",
        lambda figures, *_: tables.metric_tables(figures, "cross_validation"),
    ),
    (
        "Retrieval",
        "Every test image searches the images of the other splits by cosine, never those of its own group; "
        "means over classes. mAP: mean average precision of the whole ranking. Precision at k: the share of "
        "the first k that shows the class. Recall at k: the share of queries with at least one among them. "
        f"Images and groups are those of the queries. {_INTERVAL}",
        lambda figures, *_: [tables.retrieval_table(figures), *tables.retrieval_class_tables(figures)],
    ),
    (
        "Robustness",
        "Linear probes fitted on clean images: macro AUROC on test images spoilt in ways that happen to "
        "their modality, each in several severities. Loss: clean minus the mean over all. Worst: the "
        f"corruption with the lowest mean over its severities. {_INTERVAL}",
        lambda figures, *_: [tables.robustness_table(figures)],
    ),
)
