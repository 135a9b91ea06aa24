"""Batch: many files in, one table out; it can be stopped, and keeps what is done."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from mermed_core.errors import DamagedImageError, MermedError, UnsupportedFormatError
from mermed_core.imaging.archives import is_archive, too_large, too_many, unpack
from mermed_core.inference.batch import BatchRow, File, Pace, analyse_files, join_slide_files, table_of
from mermed_core.languages.say import in_readers_words
from mermed_core.reports.spreadsheet import to_csv

from ..components import notice
from ..components.batch_table import batch_table, progress_bar
from ..components.html_parts import scripted_html, static_html
from ..components.templates import script
from ..services import VISIT_SECONDS, Services
from ..texts import batch_text
from ..upload_limits import upload_limits
from ..uploads import take
from .answer import Shown

_QUEUE = "batch"  # of its own, so that single images are answered meanwhile
_GROWTH = 1.3  # the table is sent again when it has grown by so much, which keeps all its editions small


class BatchPage:
    """The components of the page and what happens on them."""

    def __init__(self, services: Services) -> None:
        self._predictor = services.predictor
        self._rows = gr.State(None, time_to_live=VISIT_SECONDS)
        self._pace = gr.State(None, time_to_live=VISIT_SECONDS)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=270):
                gr.Markdown(batch_text.HOW)
                self.files = gr.File(
                    label=batch_text.DROP, file_count="multiple", height=170, elem_id="batch-files"
                )
                self.stop = gr.Button(batch_text.STOP, visible=False, elem_id="batch-stop")
                self.download = gr.Button(batch_text.DOWNLOAD, visible=False, elem_id="batch-download")
            with gr.Column(scale=9, min_width=320):
                self.notice = notice.notice("batch-notice")
                self.progress = static_html("", "batch-progress")
                self.table = scripted_html(self._table(()), "batch-table", "batch_table.js")
        self._file_out = gr.Textbox(visible=False)
        # A second way in for programs: files in, the table as CSV out.
        self._program_files = gr.File(file_count="multiple", visible=False)
        self._program_table = gr.Textbox(visible=False)
        self._wire()

    def run(self, paths: list[str] | None) -> Iterator[Shown]:
        """Analyses uploaded files and shows how far it has come after each."""
        try:
            files = opened(paths or [])
        except MermedError as error:
            yield {self.notice: notice.problem(str(error)), self.files: None}
            return
        pace, rows, sent = Pace(len(files)), (), 0
        yield {
            **self._state(rows, pace),
            self.notice: "",
            self.files: None,
            self.table: self._table(()),
            self.stop: gr.update(visible=True),
            self.download: gr.update(visible=False),
        }
        for row in analyse_files(self._predictor, files):
            rows = (*rows, row)
            pace.count(row)
            shown = self._state(rows, pace)
            if len(rows) > _GROWTH * sent:
                shown[self.table], sent = self._table(rows), len(rows)
            yield shown
            if pace.stopping:
                break
        yield self._finished(rows, pace)

    def stopped(self, rows: tuple[BatchRow, ...] | None, pace: Pace | None) -> Shown:
        """Stops the work, and shows what is done.

        Progress that is on its way to the page may come after this answer; so the work itself shows last that
        it was stopped.
        """
        if pace is not None:
            pace.stopping = True
        return self._finished(rows or (), pace)

    def save(self, rows: tuple[BatchRow, ...] | None) -> str:
        """Returns the table as a CSV file for the browser; "" without one."""
        if not rows:
            return ""
        data = base64.b64encode(to_csv(table_of(rows)).encode()).decode()
        return json.dumps({"name": batch_text.FILE_NAME, "type": "text/csv", "data": data})

    def analyse(self, paths: list[str]) -> str:
        """Returns the analyses of files, or of ZIP archives of them, as CSV, for programs."""
        try:
            return to_csv(table_of(list(analyse_files(self._predictor, opened(paths)))))
        except MermedError as error:
            raise gr.Error(in_readers_words(str(error)), print_exception=False) from error

    def _state(self, rows: tuple[BatchRow, ...], pace: Pace) -> Shown:
        return {self._rows: rows, self._pace: pace, self.progress: progress_bar(pace)}

    def _finished(self, rows: tuple[BatchRow, ...], pace: Pace | None) -> Shown:
        return {
            self._rows: rows,
            self.progress: progress_bar(pace),
            self.table: self._table(rows),
            self.stop: gr.update(visible=False),
            self.download: gr.update(visible=bool(rows)),
        }

    def _table(self, rows: tuple[BatchRow, ...]) -> str:
        return batch_table(rows, self._predictor.metrics, self._predictor.collection)

    def _wire(self) -> None:
        parts = [self._rows, self._pace, self.notice, self.progress, self.table, self.files]
        parts += [self.stop, self.download]
        hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "undocumented"}
        self.files.upload(self.run, self.files, parts, api_name="batch", concurrency_id=_QUEUE, **hidden)
        # Cancelling what runs would leave the page at its progress where that comes after this answer.
        self.stop.click(
            self.stopped, [self._rows, self._pace], parts, api_name="batch_stop", queue=False, **hidden
        )
        self.download.click(
            self.save, self._rows, self._file_out, api_name="batch_save", api_visibility="undocumented"
        ).then(
            None,
            self._file_out,
            None,
            js=script("save_file.js"),
            api_name="batch_saved",
            api_visibility="private",
        )
        self._program_files.upload(
            self.analyse,
            self._program_files,
            self._program_table,
            api_name="analyse_many",
            concurrency_id=_QUEUE,
        )


def opened(paths: list[str]) -> list[File]:
    """Reads uploaded files into memory, archives unpacked; all of them are gone from disk afterwards.

    Those that are one slide are one file here. An archive among others that cannot be opened is a file that
    is refused.

    Raises:
        ImageError: too many files, too many bytes, or the only file is an archive that cannot be opened.
    """
    taken = [(Path(path).name, take(path)) for path in paths]
    files: list[tuple[str, bytes]] = []
    size, limits = 0, upload_limits().archive
    for name, data in taken:
        named = [(name, data)]
        if is_archive(data):
            try:
                named = [(f"{name}/{part}", content) for part, content in unpack(data, limits)]
            except (DamagedImageError, UnsupportedFormatError):
                if len(taken) == 1:
                    raise
        for part, content in named:
            size += len(content)
            files.append((part, content))
        if len(files) > limits.max_files:
            raise too_many(limits)
        if size > limits.max_bytes:
            raise too_large(limits)
    return join_slide_files(files)
