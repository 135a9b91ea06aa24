"""The heat map of a known case that is open, drawn from its picture."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.events import Dependency

from mermed_core.collections.collection import Collection
from mermed_core.errors import MermedError
from mermed_core.imaging.thumbnails import THUMBNAIL_SIDE
from mermed_core.inference.predictor import Predictor
from mermed_core.languages.say import in_readers_words

from ..components import cases
from ..components.html_parts import scripted_html, static_html
from ..heat_maps import HeatMaps
from ..services import VISIT_SECONDS
from ..texts import case_text, text
from ..uploads import Query, open_fetched
from .answer import MODEL_QUEUE, Shown

_MOST = 4  # cases whose maps a visit keeps, so that they are there at once when one is opened again


@dataclass(eq=False, repr=False)
class _OpenCase:
    """A case whose map was drawn.

    Attributes:
        query: its picture.
        choices: the findings that a map can be drawn for: for people, and the page's names.
        explained: the finding whose map is shown; None where there is none.
    """

    query: Query
    choices: list[tuple[str, str]]
    explained: str | None


OpenCases = dict[str, _OpenCase]
"""The cases of a visit whose maps were drawn, by id; the latest is the last."""


class CaseMap:
    """The components of the map and what happens on them; of a case that is pressed the map is drawn at once.

    Args:
        predictor: explains; the cases are those that it explores.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._maps = HeatMaps(predictor)
        self.opened = gr.State(None, time_to_live=VISIT_SECONDS)
        self.draws = gr.Button(case_text.SHOW_MAP, size="sm", visible=False, elem_id="similar-map")
        self.figure = scripted_html("", "similar-figure", "figure.js")
        self.explained = gr.Dropdown([], label=text.SHOW_WHERE, visible=False, elem_id="similar-explained")
        self.checked = static_html("", "similar-map-check")
        self.said = static_html("", "similar-map-said")
        self.outputs: list[gr.Component] = [
            self.draws,
            self.figure,
            self.explained,
            self.checked,
            self.said,
            self.opened,
        ]

    def offer(self, opened: OpenCases | None, case_id: str | None) -> Shown:
        """Returns what there is of a case: its map where it was drawn before, or the way to it, or why none.

        Args:
            opened: cases of this visit whose maps were drawn.
            case_id: None where no case is open.
        """
        collection = self._predictor.explored
        if collection is None or case_id is None:
            return self._shown()
        if opened and (case := opened.get(case_id)) is not None:
            return self._map_of(collection, case_id, case)
        there = collection.thumbnail(case_id) is not None
        return self._shown(draws=there, said="" if there else case_text.MAP_NO_PICTURE)

    def draw(self, opened: OpenCases | None, case_id: str | None) -> Shown:
        """Draws the map of a case for the finding that the model thinks most probable."""
        collection = self._predictor.explored
        if collection is None or not case_id:
            return self._shown()
        opened = opened or {}
        try:
            case = opened.pop(case_id, None) or self._open(collection, case_id)
            shown = self._map_of(collection, case_id, case)
        except MermedError as error:
            return self._shown(said=in_readers_words(str(error)))
        kept = dict([*opened.items(), (case_id, case)][-_MOST:])
        return {**shown, self.opened: kept}

    def explain(self, opened: OpenCases | None, case_id: str | None, explained: str | None) -> Shown:
        """Draws the map for another finding."""
        collection = self._predictor.explored
        case = opened.get(case_id) if opened and case_id else None
        if collection is None or case is None or not case_id:
            return {}
        case.explained = explained or case.explained
        return self._map_of(collection, case_id, case)

    def check(self, opened: OpenCases | None, case_id: str | None) -> str:
        """Tries whether the map that is shown means anything."""
        case = opened.get(case_id) if opened and case_id else None
        return "" if case is None or not case.explained else self._maps.checked(case.query, case.explained)

    def wire(self, case: gr.Dropdown) -> None:
        """Lets the components act on the case that is named in another one."""
        self._draws(self.draws.click, self.draw, [self.opened, case], "case_map")
        self._draws(self.explained.input, self.explain, [self.opened, case, self.explained], "case_map_for")

    def draws_after(self, event: Dependency, case: gr.Dropdown) -> None:
        """Draws the map after an event that opened the case that is named in another component."""
        self._draws(event.then, self.draw, [self.opened, case], "case_map_opened")

    def _draws(
        self, event: Callable[..., Any], handler: Callable[..., Shown], inputs: list[gr.Component], name: str
    ) -> None:
        """Draws a map after an event, then tries whether it means anything."""
        quiet: dict[str, Any] = {"api_visibility": "undocumented", "concurrency_id": MODEL_QUEUE}
        drawn = event(handler, inputs, self.outputs, api_name=name, show_progress_on=self.figure, **quiet)
        drawn.then(
            self.check,
            inputs[:2],
            self.checked,
            api_name=f"check_{name}",
            show_progress="hidden",
            **quiet,
        )

    def _open(self, collection: Collection, case_id: str) -> _OpenCase:
        """Reads the picture of a case as one of the modality that its record states."""
        picture = collection.picture(case_id)
        if picture is None:
            raise MermedError(case_text.MAP_NO_PICTURE)
        query = open_fetched(self._predictor, [(case_id, picture)], collection.case(case_id).modality)
        choices = self._maps.choices(self._predictor.analyse(query.embedding, neighbours=1))
        return _OpenCase(query, choices, choices[0][1] if choices else None)

    def _map_of(self, collection: Collection, case_id: str, case: _OpenCase) -> Shown:
        if case.explained is None:
            return self._shown(said=case_text.MAP_NO_FINDING)
        alt = case_text.caption(collection, collection.case(case_id))
        side = max(case.query.image.pixels.shape[:2])
        return self._shown(
            self._maps.figure(case.query, case.explained, alt=alt),
            explained=gr.update(choices=case.choices, value=case.explained, visible=True),
            said=case_text.map_of_small_picture(side) if side <= THUMBNAIL_SIDE else "",
        )

    def _shown(self, drawn: str = "", *, draws: bool = False, explained: Any = None, said: str = "") -> Shown:
        return {
            self.draws: gr.update(visible=draws),
            self.figure: drawn,
            self.explained: explained or gr.update(visible=False),
            self.checked: "",
            self.said: cases.small(said) if said else "",
        }
