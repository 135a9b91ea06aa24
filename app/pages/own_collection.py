"""Your images: a ZIP archive, or a folder that the host opens, becomes a map with a page of its own."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from mermed_core.data.sources.confined import without_modality
from mermed_core.errors import MermedError
from mermed_core.inference.batch import Pace
from mermed_core.inference.own_collection import Gathering
from mermed_core.inference.predictor import Predictor
from mermed_core.languages.say import in_readers_words
from mermed_core.modalities import LEFT_OPEN, MODALITIES

from ..components import notice
from ..components.html_parts import static_html
from ..components.own_collection import progress_bar, result_card
from ..own_images import OwnImages, from_archive, from_folder
from ..own_pages import Build, OwnPages
from ..services import VISIT_SECONDS
from ..texts import own_collection_text, text
from ..uploads import take
from .answer import Shown
from .kept_list import KeptList

_QUEUE = "own_collection"  # of its own: one visitor's images at a time, while single images are answered
_PATIENCE = 30.0  # seconds that a few images take at most


@dataclass(eq=False, repr=False)  # no log can hold it
class Work:
    """What a visitor brought, and how far it is.

    Attributes:
        images: the folder.
        gathering: of its images; None before they are listed.
        address: of the page, "" before there is one.
        card: the way to it, "" before there is one.
        stopping: the visitor wants it to stop; what embeds the images shows last that it did.
        unwanted: the visitor wants no more of it.
        running: images are being embedded.
        over: they no longer are.
    """

    images: OwnImages
    gathering: Gathering | None = None
    address: str = ""
    card: str = ""
    stopping: bool = False
    unwanted: bool = False
    running: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def leave(self) -> None:
        """Ends the embedding, and waits until the few images that are under way are done."""
        self.unwanted = True
        if self.running.is_set():
            self.over.wait(_PATIENCE)


class OwnCollectionPage:
    """The components of the page and what happens on them.

    Args:
        predictor: embeds.
        pages: where the pages of visitors are.
        build: makes one.
        folders: in or below which visitors may name one.
    """

    def __init__(
        self, predictor: Predictor, pages: OwnPages, build: Build, folders: tuple[Path, ...]
    ) -> None:
        self._predictor = predictor
        self._pages = pages
        self._build = build
        self._folders = folders
        self._work = gr.State(None, time_to_live=VISIT_SECONDS, delete_callback=_unpacked_no_more)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=270):
                gr.Markdown(own_collection_text.HOW)
                self.file = gr.File(label=own_collection_text.DROP, height=170, elem_id="images-archive")
                self.folder = gr.Textbox(
                    label=own_collection_text.FOLDER,
                    info=own_collection_text.FOLDER_HINT,
                    visible=bool(folders),
                    elem_id="images-folder",
                )
                named = [(text.modality_name(key), key) for key in MODALITIES]
                self.modality = gr.Dropdown(
                    [(own_collection_text.AS_STATED, ""), *named],
                    value="",
                    label=own_collection_text.MODALITY,
                    elem_id="images-modality",
                )
                self.start = gr.Button(own_collection_text.START, variant="primary", elem_id="images-start")
                self.stop = gr.Button(own_collection_text.STOP, visible=False, elem_id="images-stop")
            with gr.Column(scale=9, min_width=320):
                self.notice = notice.notice("images-notice")
                self.progress = static_html("", "images-progress")
                self.result = static_html(result_card(), "images-result")
                with gr.Row():
                    words = own_collection_text
                    small: dict[str, Any] = {"size": "sm", "visible": False, "scale": 0, "min_width": 220}
                    self.go_on = gr.Button(words.GO_ON, variant="primary", **small)
                    self.part = gr.Button(words.TAKE_PART, **small)
                    self.forget = gr.Button(words.FORGET, **small)
                self.kept = KeptList(pages) if pages.keeps else None
        self._wire()

    def unpack(self, work: Work | None, path: str | None) -> Shown:
        """Unpacks an archive that was dropped, and deletes it."""
        if not path:
            return {}
        data = take(path)  # first of all, so that the upload is gone whatever comes next
        _leave(work)
        room = self._pages.room()
        try:
            images, files = from_archive(Path(path).name, data, room)
        except MermedError as error:
            shutil.rmtree(room, ignore_errors=True)
            return {**self._shown(None, problem=str(error)), self.file: None}
        said = own_collection_text.unpacked(images.name, files)
        return {**self._shown(Work(images), progress_bar(0, 0, said)), self.file: None}

    def run(self, work: Work | None, typed: str | None, modality: str) -> Iterator[Shown]:
        """Lists the images, embeds them and makes their page; shows how far it is."""
        try:
            self._pages.check_free()  # before anybody waits for nothing
            work = self._chosen(work, typed)
            work.stopping = False
            yield {**self._shown(work, progress_bar(0, 0, "")), self.stop: gr.update(visible=True)}
            left_open = LEFT_OPEN if self._predictor.embedder.preprocessing_is_shared else None
            manifest = self._pages.quietly(work.images.manifest, modality or left_open)
            work.gathering = Gathering(self._predictor, manifest)
            yield from self._embed(work)
        except MermedError as error:
            yield self._shown(work, problem=str(error))

    def resume(self, work: Work | None) -> Iterator[Shown]:
        """Goes on where it was stopped."""
        try:
            if work is not None and work.gathering is not None:
                work.stopping = False
                yield from self._embed(work)
        except MermedError as error:
            yield self._shown(work, problem=str(error))

    def take_part(self, work: Work | None) -> Iterator[Shown]:
        """Makes the page of what is embedded."""
        try:
            if work is not None and work.gathering is not None:
                yield from self._draw(work)
        except MermedError as error:
            yield self._shown(work, problem=str(error))

    def stopped(self, work: Work | None) -> Shown:
        """Stops the embedding, and shows how far it is.

        Progress that is on its way to the page may come after this answer; so the embedding itself shows last
        that it was stopped.
        """
        if work is None:
            return self._shown(None)
        work.stopping = True
        gathering = work.gathering
        if gathering is None:
            return self._shown(work)
        said = own_collection_text.progress(gathering.done, gathering.total, 0, None)
        return {
            **self._shown(
                work, progress_bar(gathering.done, gathering.total, f"{own_collection_text.STOPPED} {said}")
            ),
            self.go_on: gr.update(visible=True),
            self.part: gr.update(visible=gathering.embedded > 0),
        }

    def forgets(self, work: Work | None) -> Shown:
        """Deletes the images and the page."""
        _leave(work)
        if work is not None and work.address:
            self._pages.forget(work.address)
        return self._shown(None, result=result_card(own_collection_text.FORGOTTEN))

    def remembers(self, remembered: object, work: Work | None) -> list[str]:
        """Returns what the browser is to remember of kept collections."""
        assert self.kept is not None
        return self.kept.remember(remembered, work.address if work else "")

    def forgets_kept(self, remembered: object, work: Work | None, event: gr.EventData) -> Shown:
        """Takes a kept collection off the list of this browser, or deletes it, as was pressed."""
        assert self.kept is not None
        tokens, deleted = self.kept.forget(remembered, str(event.pick))
        shown: Shown = {self.kept.remembered: tokens, self.kept.list: self.kept.shown(tokens)}
        if deleted and work is not None and work.address == deleted:
            _unpacked_no_more(work)
            return {**self._shown(None, result=result_card(own_collection_text.FORGOTTEN)), **shown}
        return shown

    def _chosen(self, work: Work | None, typed: str | None) -> Work:
        """Returns the folder that was named, or else the archive that was dropped."""
        if typed and typed.strip() and self._folders:
            _unpacked_no_more(work)
            return Work(from_folder(typed, self._folders))
        if work is None or work.address:
            words = own_collection_text
            raise MermedError(words.NOTHING_NAMED if self._folders else words.NOTHING_CHOSEN)
        return work

    def _embed(self, work: Work) -> Iterator[Shown]:
        gathering = work.gathering
        assert gathering is not None
        before, pace = gathering.done, Pace(gathering.total - gathering.done)
        work.over.clear()
        work.running.set()
        try:
            while gathering.done < gathering.total and not (work.stopping or work.unwanted):
                self._pages.quietly(gathering.step)
                pace.done = gathering.done - before
                said = own_collection_text.progress(
                    gathering.done, gathering.total, pace.rate, pace.seconds_left
                )
                bar = progress_bar(gathering.done, gathering.total, said)
                yield {**self._shown(work, bar), self.stop: gr.update(visible=True)}
        finally:
            work.running.clear()
            work.over.set()
        if work.unwanted:
            yield self._shown(None, result=result_card(own_collection_text.FORGOTTEN))
        elif work.stopping:
            yield self.stopped(work)
        else:
            yield from self._draw(work)

    def _draw(self, work: Work) -> Iterator[Shown]:
        """Writes the collection and makes its page; the images themselves are not needed any more."""
        gathering, images = work.gathering, work.images
        assert gathering is not None
        drawing = progress_bar(gathering.done, gathering.total, own_collection_text.DRAWING)
        yield {**self._shown(work, drawing), self.forget: gr.update(visible=False)}
        work.address = self._pages.quietly(self._page, gathering, images)
        images.forget()
        manifest, unstated = gathering.manifest, without_modality(gathering.manifest)
        others = sum(manifest.left_out.values()) - unstated
        unread = len(gathering.broken)
        said = own_collection_text.made(gathering.embedded, unread, unstated, others, gathering.counts)
        work.card = result_card(said, name=images.name, address=work.address, kept=self._pages.keeps)
        yield self._shown(work)

    def _page(self, gathering: Gathering, images: OwnImages) -> str:
        place = self._pages.place(images.room or self._pages.room())
        try:
            return self._pages.add(self._build, gathering.write(place.folder, images.name), place)
        except MermedError:
            shutil.rmtree(place.folder, ignore_errors=True)
            if images.room is None:
                shutil.rmtree(place.room, ignore_errors=True)
            raise

    def _shown(self, work: Work | None, progress: str = "", *, problem: str = "", result: str = "") -> Shown:
        """Returns the page with some work; buttons are hidden but for the one that deletes it."""
        hidden = {button: gr.update(visible=False) for button in (self.stop, self.go_on, self.part)}
        return {
            self._work: work,
            self.notice: notice.problem(in_readers_words(problem)) if problem else "",
            self.progress: progress,
            self.result: result or (work.card if work else "") or result_card(),
            self.forget: gr.update(visible=work is not None),
            **hidden,
        }

    def _wire(self) -> None:
        parts = [self._work, self.notice, self.progress, self.result, self.forget]
        parts += [self.stop, self.go_on, self.part]
        hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "undocumented"}
        self.file.upload(
            self.unpack, [self._work, self.file], [*parts, self.file], api_name="own_unpack", **hidden
        )

        def waiting() -> str:
            """Says that others may come first."""
            return progress_bar(0, 0, own_collection_text.WAITING)

        running = []
        for button, handler, inputs, name in (
            (self.start, self.run, [self._work, self.folder, self.modality], "own_explore"),
            (self.go_on, self.resume, [self._work], "own_go_on"),
            (self.part, self.take_part, [self._work], "own_part"),
        ):
            waits = button.click(
                waiting, None, self.progress, api_name=f"{name}_waits", queue=False, **hidden
            )
            made = waits.then(handler, inputs, parts, api_name=name, concurrency_id=_QUEUE, **hidden)
            running.append(made)
            if self.kept is not None:
                both = [self.kept.remembered, self._work]
                made.then(
                    self.remembers,
                    both,
                    self.kept.remembered,
                    api_name=f"{name}_kept",
                    queue=False,
                    **hidden,
                )
        # Cancelling what runs would leave the page at its progress where that comes after this answer.
        self.stop.click(self.stopped, self._work, parts, api_name="own_stop", queue=False, **hidden)
        forgotten = self.forget.click(
            self.forgets,
            self._work,
            parts,
            cancels=running,
            api_name="own_forget_images",
            queue=False,
            **hidden,
        )
        if self.kept is not None:
            self.kept.refreshes(forgotten, "own_forget_images_kept")
            self.kept.list.select(
                self.forgets_kept,
                [self.kept.remembered, self._work],
                [*parts, self.kept.remembered, self.kept.list],
                api_name="own_forget_kept",
                api_visibility="private",
                queue=False,
                show_progress="hidden",
            )


def _leave(work: Work | None) -> None:
    """Ends what is done with a visitor's images, and deletes what was unpacked of them."""
    if work is not None:
        work.leave()
        work.images.forget()


def _unpacked_no_more(work: Work | None) -> None:
    """Deletes what was unpacked for a visitor; the page that came of it is not touched."""
    if work is not None:
        work.images.forget()
