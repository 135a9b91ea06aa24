"""Your classifier: a visitor labels a few images, gets a classifier of their own, and asks it."""

import base64
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from mermed_core.errors import CollectionError, ImageError, MermedError
from mermed_core.inference import own_heads
from mermed_core.models.few_shot_head import to_zip

from ..components import notice
from ..components.html_parts import clickable_html, static_html
from ..components.own_head import (
    Labelled,
    Workbench,
    answer_card,
    labelled_case,
    labelled_image,
    result_card,
    workbench_view,
)
from ..components.templates import script
from ..services import VISIT_SECONDS, Services
from ..study import View
from ..texts import own_head_text as own
from ..uploads import Query, open_upload, take
from .answer import MODEL_QUEUE, Shown

_LISTED = 500  # a longer list would only slow the page down; other ids can be typed
_FILE = "my_classifier.zip"


class OwnHeadPage:
    """The components of the page and what happens on them."""

    def __init__(self, services: Services, query: gr.State) -> None:
        self._predictor = services.predictor
        self._query = query
        self._bench = gr.State(None, time_to_live=VISIT_SECONDS)
        collection = services.predictor.collection
        listed = list(collection.records["case_id"][:_LISTED]) if collection else []
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=290):
                gr.Markdown(own.HOW)
                self.label = gr.Dropdown(
                    [],
                    value=None,
                    label=own.LABEL,
                    info=own.LABEL_HINT,
                    allow_custom_value=True,
                    elem_id="own-label",
                )
                self.files = gr.File(label=own.IMAGES, file_count="multiple", height=140, elem_id="own-files")
                self.add_open = gr.Button(own.ADD_OPEN, size="sm")
                with gr.Accordion(own.CASES, open=False, visible=collection is not None):
                    self.ids = gr.Dropdown(
                        listed,
                        multiselect=True,
                        allow_custom_value=True,
                        label=own.CASES,
                        info=own.CASES_HINT,
                    )
                    self.add_ids = gr.Button(own.ADD_CASES, size="sm")
                self.load_file = gr.File(label=own.LOAD, height=140, elem_id="own-load")
            with gr.Column(scale=5, min_width=300):
                self.notice = notice.notice("own-notice")
                self.shelf = clickable_html(workbench_view(()), "own-shelf")
                self.learn_button = gr.Button(own.LEARN, variant="primary", elem_id="own-learn")
            with gr.Column(scale=4, min_width=290):
                self.result = static_html(result_card(Workbench()), "own-result")
                self.answer = static_html(answer_card(None, None), "own-answer")
                with gr.Row():
                    self.save_button = gr.Button(own.SAVE, size="sm", elem_id="own-save")
                    self.forget_button = gr.Button(own.FORGET, size="sm", elem_id="own-forget")
        self._file_out = gr.Textbox(visible=False)
        self._outputs = [self._bench, self.notice, self.label, self.shelf, self.result, self.answer]
        self._wire()

    def add_files(self, bench: Workbench | None, label: str | None, paths: list[str] | None) -> Shown:
        """Labels uploaded files, of an archive all; one that cannot be read is named, others are added."""
        name, added, problems = _name(label), [], []
        for path in paths or []:  # read without a label too, so that they are gone from disk
            try:
                query = open_upload(self._predictor, path)
            except ImageError as error:
                problems.append(own.refused(Path(path).name, str(error)))
                continue
            if name:
                others, wrong = self._others(query)
                added += [self._labelled(name, each) for each in (query, *others)]
                problems += wrong
        return {**self._added(bench, name, added, " ".join(problems)), self.files: None}

    def _others(self, first: Query) -> tuple[list[Query], list[str]]:
        """Returns what came in one archive with an image, a picture of each series, and what is wrong."""
        found, problems = [], list(first.study.notes)
        for number, stack in enumerate(first.study.stacks):
            if number == first.view.stack:
                continue
            try:
                found.append(first.at_view(self._predictor, View(number, stack.start)))
            except ImageError as error:
                problems.append(own.refused(stack.name, str(error)))
        return found, problems

    def add_query(self, bench: Workbench | None, label: str | None, query: Query | None) -> Shown:
        """Labels the image that is open."""
        if query is None:
            return {self.notice: notice.problem(own.NO_OPEN_IMAGE)}
        name = _name(label)
        return self._added(bench, name, [self._labelled(name, query)] if name else [])

    def add_cases(self, bench: Workbench | None, label: str | None, ids: list[str] | None) -> Shown:
        """Labels cases of the collection; an ID of none is named and stays, so that it can be mended."""
        collection, name = self._predictor.collection, _name(label)
        if collection is None or not ids:
            return {self.notice: notice.problem(own.NO_CASES)}
        if not name:
            return {self.notice: notice.problem(own.NO_LABEL)}
        added, unknown = [], []
        for case_id in ids:
            try:
                example = own_heads.example_of(self._predictor, case_id, name)
            except CollectionError:
                unknown.append(case_id)
            else:
                added.append(labelled_case(example, collection, case_id))
        problem = own.no_such_cases(unknown) if unknown else ""
        return {**self._added(bench, name, added, problem), self.ids: unknown}

    def remove(self, bench: Workbench | None, key: str, query: Query | None) -> Shown:
        """Takes one image out; the classifier that was made with it is gone."""
        bench = bench or Workbench()
        items = tuple(item for item in bench.items if item.key != key)
        return self._shown(Workbench(items), query)

    def learn(self, bench: Workbench | None, query: Query | None) -> Shown:
        """Makes the classifier of all labelled images."""
        bench = bench or Workbench()
        began = time.perf_counter()
        try:
            head = own_heads.fit(self._predictor, [item.example for item in bench.items])
        except MermedError as error:
            return {self.notice: notice.problem(str(error))}
        return self._shown(replace(bench, head=head, seconds=time.perf_counter() - began), query)

    def load(self, bench: Workbench | None, path: str | None, query: Query | None) -> Shown:
        """Loads a classifier that was saved."""
        if not path:
            return {self.notice: ""}
        try:
            head = own_heads.load(self._predictor, take(path))
        except MermedError as error:
            return {self.notice: notice.problem(str(error)), self.load_file: None}
        shown = self._shown(replace(bench or Workbench(), head=head, seconds=None), query)
        return {**shown, self.load_file: None}

    def ask(self, bench: Workbench | None, query: Query | None) -> Shown:
        """Asks the classifier about the image that is open."""
        return {self.answer: self._answer(bench or Workbench(), query)}

    def save(self, bench: Workbench | None) -> str:
        """Returns the classifier as a file for the browser; "" where there is none."""
        if bench is None or bench.head is None:
            return ""
        data = base64.b64encode(to_zip(bench.head)).decode()
        return json.dumps({"name": _FILE, "type": "application/zip", "data": data})

    def forget(self, query: Query | None) -> Shown:
        """Forgets labels, images and classifier."""
        return {**self._shown(Workbench(), query), self._bench: None}

    def _labelled(self, name: str, query: Query) -> Labelled:
        return labelled_image(own_heads.example_of(self._predictor, query.embedding, name), query.image)

    def _added(
        self, bench: Workbench | None, name: str, added: Iterable[Labelled], problem: str = ""
    ) -> Shown:
        """Returns the page with more images of a label, or that it has no name."""
        if not name:
            return {self.notice: notice.problem(own.NO_LABEL)}
        bench = bench or Workbench()
        items = {item.key: item for item in bench.items}
        new = [item for item in added if item.key not in items]
        items.update({item.key: item for item in new})
        said = problem or ("" if new else own.ADDED_BEFORE)
        bench = Workbench(tuple(items.values()))
        return {
            self._bench: bench,
            self.notice: notice.problem(said) if said else "",
            self.label: gr.update(choices=list(bench.labels)),
            self.shelf: workbench_view(bench.items),
            self.result: result_card(bench),
        }

    def _shown(self, bench: Workbench, query: Query | None) -> Shown:
        return {
            self._bench: bench,
            self.notice: "",
            self.label: gr.update(choices=list(bench.labels)),
            self.shelf: workbench_view(bench.items),
            self.result: result_card(bench),
            self.answer: self._answer(bench, query),
        }

    def _answer(self, bench: Workbench, query: Query | None) -> str:
        if bench.head is None or query is None:
            return answer_card(None, query.image if query else None)
        return answer_card(bench.head.answer(query.embedding.retrieval), query.image)

    def _wire(self) -> None:
        bench, query, label = self._bench, self._query, self.label
        self._on(self.files.upload, self.add_files, [bench, label, self.files], "own_files", [self.files])
        self._on(self.add_open.click, self.add_query, [bench, label, query], "own_image")
        self._on(self.add_ids.click, self.add_cases, [bench, label, self.ids], "own_cases", [self.ids])
        self._on(self.learn_button.click, self.learn, [bench, query], "own_learn")
        self._on(
            self.load_file.upload, self.load, [bench, self.load_file, query], "own_load", [self.load_file]
        )
        self._on(self.forget_button.click, self.forget, [query], "own_forget")
        self._on(query.change, self.ask, [bench, query], "own_ask")
        self._wire_pictures()
        self.save_button.click(
            self.save, bench, self._file_out, api_name="own_save", api_visibility="undocumented"
        ).then(
            None,
            self._file_out,
            None,
            js=script("save_file.js"),
            api_name="own_saved",
            api_visibility="private",
        )

    def _wire_pictures(self) -> None:
        def removed(event: gr.EventData, bench: Workbench | None, query: Query | None) -> Shown:
            """Takes out the image whose cross was pressed."""
            return self.remove(bench, str(event.pick), query)

        self._on(self.shelf.select, removed, [self._bench, self._query], "own_remove")

    def _on(
        self,
        event: Callable[..., Any],
        handler: Callable[..., Shown],
        inputs: list[Any],
        name: str,
        further: list[gr.Component] | None = None,
    ) -> None:
        event(
            handler,
            inputs,
            [*self._outputs, *(further or [])],
            api_name=name,
            api_visibility="undocumented",
            concurrency_id=MODEL_QUEUE,
            show_progress="minimal",
        )


def _name(label: str | None) -> str:
    return (label or "").strip()
