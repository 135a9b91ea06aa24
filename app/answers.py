"""What the Classify page answers: from an uploaded file to the contents of its parts."""

from pathlib import Path
from typing import Any

import gradio as gr

from mermed_core.errors import ImageError, MermedError
from mermed_core.records import Analysis, Finding

from .components import cases, figure, findings, modality, notice
from .services import ASSETS, Services
from .text import class_name
from .uploads import Query, open_upload

EXAMPLES = ASSETS / "examples"
NO_CASES = "The most similar known cases appear here."
_NEIGHBOURS = 8
# query, notice, figure, modality, findings, explained, cases, point, frame: the page's parts in this order
Shown = tuple[Any, ...]
_PARTS = 9


class Answers:
    """The handlers of the Classify page; what was shown stays where a file is refused."""

    def __init__(self, services: Services) -> None:
        self._predictor = services.predictor

    def open(self, path: str | None, chosen: str) -> tuple[Any, ...]:
        """Opens an uploaded file and says everything about it; clears the upload field first of all."""
        if not path:
            return (None, *_kept(""))
        return (None, *self._guarded(lambda: open_upload(self._predictor, path), chosen))

    def open_example(self, name: str, chosen: str) -> Shown:
        """Opens one of the bundled examples by its name."""
        return self._guarded(lambda: open_upload(self._predictor, str(_example(name))), chosen)

    def change_frame(self, query: Query | None, frame: int, chosen: str) -> Shown:
        """Goes to another frame of the same file, counted from 1 as people do."""
        if query is None:
            return _kept("")
        return self._guarded(lambda: query.at_frame(self._predictor, int(frame) - 1), chosen)

    def change_modality(self, query: Query | None, chosen: str) -> Shown:
        """Reads the same image as of another modality; "" detects it."""
        return _kept("") if query is None else self._guarded(lambda: query, chosen)

    def explain(self, query: Query | None, explained: str | None) -> str:
        """Draws where the model looked for one finding over the image."""
        if query is None:
            return figure.EMPTY
        if not explained:
            return figure.figure(query.image)
        task, label = self._class_of(explained)
        saliency = self._predictor.explain(query.image, task=task, label=label)
        return figure.figure(query.image, saliency, class_name(self._predictor.metrics, task, label))

    def analyse(self, path: str) -> dict[str, Any]:
        """Returns everything about one uploaded file as JSON, for programs: {"error": …} if it is refused."""
        try:
            query = open_upload(self._predictor, path)
            return self._predictor.analyse(query.image, neighbours=_NEIGHBOURS).to_dict()
        except MermedError as error:
            return {"error": str(error)}

    def _guarded(self, opened: Any, chosen: str) -> Shown:
        try:
            return self._show(opened(), chosen)
        except MermedError as error:
            return _kept(notice.problem(str(error)))

    def _show(self, query: Query, chosen: str) -> Shown:
        image = query.image
        analysis = self._predictor.analyse(image, modality=chosen or None, neighbours=_NEIGHBOURS)
        first = _pick(analysis.findings[0]) if analysis.findings else None
        return (
            query,
            notice.file_notes(image),
            figure.figure(image),
            modality.modality_card(analysis, chosen or None),
            findings.findings_card(analysis, self._predictor.metrics, first or ""),
            gr.update(choices=self._choices(analysis.findings), value=first, visible=first is not None),
            self._similar(analysis),
            analysis.point,
            gr.update(visible=image.frames > 1, maximum=max(2, image.frames), value=image.frame + 1),
        )

    def _class_of(self, explained: str) -> tuple[str, str]:
        """Returns label set and class by the name that the page gave them."""
        for tasks in self._predictor.tasks:
            for label in tasks.classes:
                if findings.pick(tasks.task, label) == explained:
                    return tasks.task, label
        raise gr.Error(f"This model has no finding '{explained}'.", print_exception=False)

    def _choices(self, found: tuple[Finding, ...]) -> list[tuple[str, str]]:
        metrics = self._predictor.metrics
        return [(class_name(metrics, finding.task, finding.label), _pick(finding)) for finding in found]

    def _similar(self, analysis: Analysis) -> str:
        if self._predictor.collection is None:
            return cases.nothing("No collection is loaded.")
        grid = cases.neighbour_grid(self._predictor.collection, analysis.neighbours)
        if analysis.known:
            return grid
        return cases.nothing("The image is not known; these are the nearest cases all the same.") + grid


def _pick(finding: Finding) -> str:
    return findings.pick(finding.task, finding.label)


def example_names() -> list[str]:
    """Returns the names of the bundled examples, sorted."""
    return sorted(path.stem for path in EXAMPLES.glob("*.png"))


def _example(name: str) -> Path:
    if name not in example_names():
        raise ImageError(f"There is no example '{name}'. Choose one of those shown.")
    return EXAMPLES / f"{name}.png"


def _kept(message: str) -> Shown:
    shown: list[Any] = [gr.skip() for _ in range(_PARTS)]
    shown[1] = message
    return tuple(shown)
