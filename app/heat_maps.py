"""The heat maps over an image that is open: each is drawn once, on whichever page it is asked for."""

import gradio as gr

from mermed_core.inference.map_check import MapCheck, check_map
from mermed_core.inference.predictor import Predictor
from mermed_core.models.cam import DEFAULT
from mermed_core.records import Analysis, Finding, Saliency

from .components import figure, findings
from .made import ahead
from .texts import text
from .uploads import Query


class HeatMaps:
    """Draws where the model looked for a finding; findings have the names that the page gives them.

    Args:
        predictor: explains.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def choices(self, analysis: Analysis) -> list[tuple[str, str]]:
        """Returns the findings that a map can be drawn for: for people, and the names."""
        metrics = self._predictor.metrics
        return [(text.class_name(metrics, each.task, each.label), pick(each)) for each in analysis.findings]

    def class_of(self, explained: str) -> tuple[str, str]:
        """Returns label set and class of a finding; raises a sentence for the page where there is none."""
        for label_set in self._predictor.tasks:
            for label in label_set.classes:
                if findings.pick(label_set.task, label) == explained:
                    return label_set.task, label
        raise gr.Error(text.no_such_finding(explained), print_exception=False)

    def is_of(self, query: Query, explained: str) -> bool:
        """Returns whether a finding is one of an image's.

        It is not where the answer for another image came between the choice and what is asked of it. Raises a
        sentence for the page where no image can have it, see `class_of`.
        """

        def named() -> frozenset[str]:
            analysis = self._predictor.analyse(query.embedding, neighbours=0)
            return frozenset(map(pick, analysis.findings))

        self.class_of(explained)
        return explained in query.made.once("findings", named)

    def saliency(self, query: Query, explained: str, method: str = DEFAULT) -> Saliency:
        """Returns the map of an image for a finding."""
        task, label = self.class_of(explained)

        def drawn() -> Saliency:
            return self._predictor.explain(
                query.image, task=task, label=label, embedding=query.embedding, method=method
            )

        return query.made.once(("map", explained, method), drawn)

    def figure(self, query: Query, explained: str | None = None, method: str = DEFAULT, alt: str = "") -> str:
        """Returns an image with the map for a finding over it; without a finding the image alone.

        Args:
            query: the image.
            explained: the finding.
            method: how the map is drawn.
            alt: what the image is; "" where it is the visitor's.
        """
        if not explained:
            return figure.figure(query.image, picture=query.name, alt=alt)

        def drawn() -> str:
            saliency, name = self.saliency(query, explained, method), self._name(explained)
            return figure.figure(query.image, saliency, name, picture=query.name, alt=alt)

        return query.made.once(("figure", explained, method, alt), drawn)

    def begun(self, query: Query, explained: str) -> str:
        """Returns an image with room for the map for a finding, which is drawn while the page shows this."""
        ahead(lambda: self.figure(query, explained))
        return figure.figure(query.image, name=self._name(explained), picture=query.name)

    def _name(self, explained: str) -> str:
        return text.class_name(self._predictor.metrics, *self.class_of(explained))

    def check(self, query: Query, explained: str, method: str = DEFAULT) -> MapCheck:
        """Returns what trying a map gave."""

        def tried() -> MapCheck:
            saliency = self.saliency(query, explained, method)
            return check_map(self._predictor, query.image, query.embedding, saliency)

        return query.made.once(("check", explained, method), tried)

    def room(self, query: Query, explained: str, method: str = DEFAULT) -> str:
        """Returns what trying a map says where it was tried already, else the room for it."""
        if query.made.has(("check", explained, method)):
            return self.checked(query, explained, method)
        return figure.unchecked()

    def checked(self, query: Query, explained: str, method: str = DEFAULT) -> str:
        """Returns what trying a map says: whether it means anything."""
        return figure.checked(self.check(query, explained, method))


def pick(finding: Finding) -> str:
    """Returns the name that the page gives a finding."""
    return findings.pick(finding.task, finding.label)
