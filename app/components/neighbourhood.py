"""The similar cases of the visitor's image: what their nearness means, how they vote, and the contrast."""

from markupsafe import Markup

from mermed_core.inference.neighbourhood import Contrast, in_words
from mermed_core.inference.predictor import Predictor
from mermed_core.records import Analysis

from ..texts import answer_text, text
from . import cases
from .templates import render


def similar_cases(predictor: Predictor, analysis: Analysis) -> str:
    """Returns the nearest cases below what their nearness means and how they vote; there is a collection."""
    assert predictor.collection is not None
    if not analysis.in_distribution:
        return cases.neighbour_grid(
            predictor.collection, analysis.neighbours, text.NEAREST_ANYWAY, hint=answer_text.compare_with
        )
    said, doubt = in_words(predictor, analysis)
    return render(
        "neighbourhood.html",
        said=said,
        doubt=doubt,
        grid=Markup(
            cases.neighbour_grid(predictor.collection, analysis.neighbours, hint=answer_text.compare_with)
        ),
    )


def contrast_view(predictor: Predictor, found: Contrast, task: str, label: str) -> str:
    """Returns the nearest cases of a class beside the nearest of the other classes of its label set."""
    assert predictor.collection is not None
    name = text.class_name(predictor.metrics, task, label)
    title = text.set_title(task, predictor.metrics.tasks.get(task))
    sides = ((answer_text.same_label(name), found.same), (answer_text.other_label(name, title), found.other))
    return render(
        "contrast.html",
        sides=[
            {
                "title": heading,
                "grid": Markup(
                    cases.neighbour_grid(predictor.collection, hits, hint=answer_text.compare_with)
                    if hits
                    else cases.nothing(answer_text.NONE_LABELLED)
                ),
            }
            for heading, hits in sides
        ],
    )
