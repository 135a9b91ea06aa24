"""Classify: images in; of the one that is looked at, what the model says out."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from mermed_core.data.dicomweb import DicomwebServer
from mermed_core.errors import CollectionError, MermedError
from mermed_core.imaging.checks import concerns
from mermed_core.modalities import MODALITIES

from ..components import examples, notice
from ..components.camera import camera
from ..components.html_parts import asked, clickable_html, picked_name
from ..components.opener import opener, sent_paths
from ..components.viewer import viewer, viewer_value
from ..made import ahead
from ..services import Services
from ..study import view_of
from ..texts import input_text, text
from ..uploads import Query, open_fetched, open_sent, open_upload
from .answer import MODEL_QUEUE, NEIGHBOURS, Answer, Shown
from .study_servers import StudyServers

_OF_WHOLE_FUNDI = "fundus_cut"  # not to be said of a drawn region, nor of what is not recognised


class ClassifyPage:
    """The components of the page and what happens on them; what was shown stays where a file is refused."""

    def __init__(self, services: Services, query: gr.State) -> None:
        self.predictor = services.predictor
        self.query = query
        with gr.Row(equal_height=False, elem_id="classify-first"):
            with gr.Column(scale=5, min_width=300):
                self.servers = self._build_inputs(services.dicomweb)
            self.answer = Answer(services, query, self.chosen)
        self.answer.build_cases()
        self.notice = self.answer.notice
        self.outputs: list[gr.Component] = [self.query, *self.answer.outputs, self.viewer]
        self._wire()
        if self.servers is not None:
            self.servers.wire(self)

    def opens(self, source: gr.File | gr.Image, event: Callable[..., Any], api_name: str) -> None:
        """Lets a file component open an image here, from whichever page it stands on."""

        def handler(path: str | None, chosen: str) -> Shown:
            """Opens an uploaded file and says everything about it."""
            return {source: None, **self.open(path, chosen)}

        self.answer.then_explains(
            event(
                handler,
                [source, self.chosen],
                [source, *self.outputs],
                api_name=api_name,
                api_visibility="public" if api_name == "classify" else "undocumented",
                concurrency_id=MODEL_QUEUE,
                show_progress_on=self.answer.figure,
            ),
            api_name,
        )

    def open(self, path: str | None, chosen: str) -> Shown:
        """Opens an uploaded file and says everything about it; "" detects the modality."""
        if not path:
            return {self.notice: ""}
        return self.show(lambda: open_upload(self.predictor, path, chosen or None), chosen)

    def open_files(self, chosen: str, sent: str) -> Shown:
        """Opens the files that the page sent, as JSON: pictures, archives, a folder or a study."""
        paths = sent_paths(json.loads(sent))
        return self.show(lambda: open_sent(self.predictor, paths, chosen or None), chosen)

    def change_view(self, query: Query | None, chosen: str, view: str) -> Shown:
        """Answers for another file, slice, window or region of what was opened."""
        if query is None:
            return {self.notice: ""}
        return self.show(
            lambda: query.at_view(self.predictor, view_of(json.loads(view)), chosen or None), chosen
        )

    def open_example(self, name: str, chosen: str) -> Shown:
        """Opens one of the bundled examples by its name."""

        def opened() -> Query:
            return open_upload(self.predictor, str(examples.example_path(name)), chosen or None)

        return self.show(opened, chosen)

    def open_case(self, case_id: str | None, chosen: str) -> Shown:
        """Opens the picture of a case, so that a part of it can be analysed and searched with."""

        def opened() -> Query:
            collection = self.predictor.collection
            picture = collection.picture(case_id) if collection and case_id else None
            if picture is None:
                raise CollectionError(input_text.NO_CASE_PICTURE)
            return open_fetched(self.predictor, [(str(case_id), picture)], chosen or None)

        shown = self.show(opened, chosen)
        if self.viewer in shown:
            shown[self.viewer]["mode"] = "region"
            shown[self.notice] = notice.file_notes("", [input_text.CASE_OPENED]) + shown[self.notice]
        return shown

    def change_frame(self, query: Query | None, frame: int, chosen: str) -> Shown:
        """Goes to another frame of the same file, counted from 1 as people do."""
        if query is None:
            return {self.notice: ""}
        return self.show(lambda: query.at_frame(self.predictor, int(frame) - 1, chosen or None), chosen)

    def change_modality(self, query: Query | None, chosen: str) -> Shown:
        """Reads the same image as one of another modality; "" detects it."""
        if query is None:
            return {self.notice: ""}
        return self.show(lambda: query.read_as(self.predictor, chosen or None), chosen)

    def analyse(self, path: str) -> dict[str, Any]:
        """Returns everything about one uploaded file as JSON, for programs: {"error": …} if it is refused."""
        try:
            query = open_upload(self.predictor, path)
            return self.predictor.analyse(query.embedding, neighbours=NEIGHBOURS).to_dict()
        except MermedError as error:
            return {"error": str(error)}

    def show(self, opened: Callable[[], Query], chosen: str) -> Shown:
        """Says everything about an image that is opened, or what is wrong with it."""
        try:
            query = opened()
            ahead(lambda: _concerns(query))  # on another core than the answer
            ahead(query.picture)
            shown = self.answer.show(query, chosen)
        except MermedError as error:
            return {self.notice: notice.problem(str(error), input_text.ANSWER_BEFORE)}
        wrong = [input_text.CONCERNS[name] for name in self._wrong(query)]
        said = notice.file_notes(query.image.kind, (*wrong, *query.study.notes, *query.embedding.notes))
        seen = viewer_value(query.study, query.view)
        return {self.query: query, self.viewer: seen, **shown, self.notice: said}

    def _wrong(self, query: Query) -> tuple[str, ...]:
        """Returns what is wrong with the picture, as far as it is to be said of what is shown."""
        found = _concerns(query)
        if _OF_WHOLE_FUNDI not in found:
            return found
        whole = query.view.region is None
        if whole and self.predictor.analyse(query.embedding, neighbours=1).in_distribution:
            return found
        return tuple(name for name in found if name != _OF_WHOLE_FUNDI)

    def _build_inputs(self, dicomweb: Mapping[str, DicomwebServer]) -> StudyServers | None:
        """Lays out the ways in; returns the one that only a host can open, None where none did."""
        self._opener = opener()
        self.viewer = viewer()
        with gr.Accordion(text.PASTE_OR_CAMERA, open=False):
            self._camera = camera()
        servers = StudyServers(dicomweb) if dicomweb else None
        self.chosen = gr.Dropdown(
            [(text.DETECT, ""), *((text.modality_name(key), key) for key in MODALITIES)],
            value="",
            label=text.MODALITY,
            info=text.MODALITY_HINT,
        )
        self._examples = clickable_html(examples.examples(), "classify-examples")
        self._example = gr.Textbox(visible=False)
        # The ways in for programs: a file to look at, one of its frames; and one JSON object about a file.
        self._file = gr.File(visible=False)
        self.frame = gr.Number(1, precision=0, label=text.FRAME, visible=False)
        self._program_file = gr.File(visible=False)
        self._program_answer = gr.JSON(visible=False)
        return servers

    def _wire(self) -> None:
        self.opens(self._file, self._file.upload, "classify")
        self.opens(self._camera, self._camera.input, "classify_camera")
        example = self._examples.select(
            picked_name, None, self._example, api_name="pick_example", api_visibility="private", queue=False
        )
        chosen = self.chosen
        sent, view = gr.Textbox(visible=False), gr.Textbox(visible=False)
        asks = {"classify_files": asked("classify-file"), "classify_view": asked("classify-viewer")}
        for event, handler, inputs, name in (
            (example.then, self.open_example, [self._example, chosen], "classify_example"),
            (self.frame.input, self.change_frame, [self.query, self.frame, chosen], "classify_frame"),
            (self._opener.upload, self.open_files, [chosen, sent], "classify_files"),
            (self.viewer.submit, self.change_view, [self.query, chosen, view], "classify_view"),
            (chosen.change, self.change_modality, [self.query, chosen], "classify_as"),
        ):
            shown = event(
                handler,
                inputs,
                self.outputs,
                api_name=name,
                api_visibility="undocumented" if name in asks else "public",
                js=asks.get(name),
                concurrency_id=MODEL_QUEUE,
                show_progress_on=self.answer.figure,  # the viewer stays in use meanwhile
                trigger_mode="always_last",  # of many files pressed in a row only the last one counts
            )
            self.answer.then_explains(shown, name)
        self._program_file.upload(
            self.analyse,
            self._program_file,
            self._program_answer,
            api_name="analyse",
            concurrency_id=MODEL_QUEUE,
        )


def _concerns(query: Query) -> tuple[str, ...]:
    return query.made.once("concerns", lambda: concerns(query.image.pixels, query.embedding.chosen))
