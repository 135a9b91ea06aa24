"""A study from a DICOMweb server that the host names, opened like files that are dropped."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import gradio as gr

from mermed_core.data.dicomweb import DicomwebServer, FoundStudy
from mermed_core.errors import MermedError, StudyServerError

from ..components import notice
from ..texts import input_text, server_text
from ..uploads import Query, open_fetched
from .answer import Shown

if TYPE_CHECKING:
    from .classify import ClassifyPage

_QUEUE = "study_servers"  # of its own: a slow server keeps no image waiting that is here already
_AT_ONCE = 2
_LONGEST = 200  # of what a visitor writes; the core refuses what is no identifier


class StudyServers:
    """The field where a visitor names a study, and the choice where several are meant.

    Args:
        servers: by their names, one at least; no other address is ever asked.
    """

    def __init__(self, servers: Mapping[str, DicomwebServer]) -> None:
        self._servers = dict(servers)
        names = list(self._servers)
        with gr.Accordion(server_text.TITLE, open=False, elem_id="classify-servers"):
            self.server = gr.Dropdown(names, value=names[0], label=server_text.SERVER, visible=len(names) > 1)
            self.study = gr.Textbox(
                label=server_text.STUDY,
                info=server_text.STUDY_HINT if len(names) > 1 else server_text.study_hint(names[0]),
                max_lines=1,
                max_length=_LONGEST,
                html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
            )
            self.open = gr.Button(server_text.OPEN, size="sm")
            self.which = gr.Dropdown(
                [], label=server_text.WHICH, info=server_text.SEVERAL, visible=False, elem_id="classify-which"
            )

    def wire(self, page: "ClassifyPage") -> None:
        """Opens what is asked for on a page."""
        outputs: list[gr.Component] = [self.which, *page.outputs]

        def find(name: str, asked: str | None, chosen: str) -> Shown:
            """Opens the study of a server that an identifier means, or asks which of several."""
            return self.find(page, name, asked, chosen)

        def choose(name: str, study: str | None, chosen: str) -> Shown:
            """Opens the study that was chosen among several; a list that is emptied chooses none."""
            return self.find(page, name, study, chosen) if study else {}

        for event, handler, source, api_name in (
            (self.open.click, find, self.study, "classify_study"),
            (self.study.submit, find, self.study, "classify_study_entered"),
            (self.which.change, choose, self.which, "classify_study_chosen"),  # `input` would come twice
        ):
            shown = event(
                handler,
                [self.server, source, page.chosen],
                outputs,
                api_name=api_name,
                api_visibility="public" if api_name == "classify_study" else "undocumented",
                concurrency_id=_QUEUE,
                concurrency_limit=_AT_ONCE,
                show_progress_on=page.answer.figure,
            )
            page.answer.then_explains(shown, api_name)

    def find(self, page: "ClassifyPage", name: str, asked: str | None, chosen: str) -> Shown:
        """Opens the study of a server that an identifier means, or asks which of several.

        Args:
            page: where it is opened.
            name: of the server.
            asked: what the visitor wrote.
            chosen: key of the modality that the visitor set, "" to detect it.
        """
        try:
            found = self._server(name).find(asked or "")
        except MermedError as error:
            return {
                self.which: gr.update(visible=False),
                page.notice: notice.problem(str(error), input_text.ANSWER_BEFORE),
            }
        if len(found) == 1:
            opened = self._opening(page, name, found[0], chosen)
            return {self.which: gr.update(visible=False), **page.show(opened, chosen)}
        choices = [(server_text.study(each.date, each.modalities, each.images), each.study) for each in found]
        return {self.which: gr.update(choices=choices, value=None, visible=True), page.notice: ""}

    def _server(self, name: str) -> DicomwebServer:
        try:
            return self._servers[name]
        except KeyError as error:
            raise StudyServerError(server_text.NO_SERVER) from error

    def _opening(
        self, page: "ClassifyPage", name: str, found: FoundStudy, chosen: str
    ) -> Callable[[], Query]:
        def opening() -> Query:
            server = self._server(name)
            files = [(name, data) for data in server.fetch(found)]
            return open_fetched(page.predictor, files, chosen or None)

        return opening
