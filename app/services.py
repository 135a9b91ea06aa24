"""What the pages share: the predictor, loaded from where the settings say."""

import logging
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from mermed_core.collections.collection import Collection
from mermed_core.collections.folder import Watched
from mermed_core.collections.following import FollowedCollection
from mermed_core.collections.pictures import Pictures
from mermed_core.collections.store import load_collection
from mermed_core.data.dicomweb import DicomwebServer, dicomweb_servers
from mermed_core.device import describe, one_core_for_small
from mermed_core.errors import ManifestError, MermedError, SettingsError
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.following import FollowingPredictor
from mermed_core.inference.own_collection import with_collection
from mermed_core.inference.predictor import Predictor
from mermed_core.search.milvus_server import MilvusServer
from mermed_core.settings import Settings

from .check_job import CheckJob
from .own_pages import OwnPages
from .shared_notes import SharedNotes

logger = logging.getLogger(__name__)

VISIT_SECONDS = 1800  # how long what a visitor opened or made stays in memory after its last use


@dataclass(frozen=True)
class Bringing:
    """What visitors may bring images of their own from, and what becomes of them.

    Attributes:
        folders: of the server, in or below which they may name one; empty for none.
        pages: of the collections that come of them.
    """

    folders: tuple[Path, ...]
    pages: OwnPages


@dataclass(frozen=True)
class Services:
    """What every page needs.

    Attributes:
        predictor: the model, with a collection where one could be loaded.
        missing_collection: why images are compared with no cases, "" where they are.
        dicomweb: the servers that a study may be opened from, by their names.
        bringing: None where visitors may not bring a collection of their own.
        notes: the tags and notes beside the collection; None where there is none.
        own: whether the server keeps the visitor's own collection that these pages are of; None where it is
            none.
        beside: a second collection, whose map stands beside the first.
        missing_beside: why the second collection is not there any more, "" where it is or none is wanted.
        watched: tells whether the collection's folder was changed since; None where there is none.
        name: of these services: a page that was built over others shows what may have been changed.
        followed: the collections as their folders are now; None where nobody follows them.
    """

    predictor: Predictor
    missing_collection: str = ""
    dicomweb: Mapping[str, DicomwebServer] = field(default_factory=dict)
    bringing: Bringing | None = None
    own: bool | None = None
    notes: SharedNotes | None = None
    beside: Collection | None = None
    missing_beside: str = ""
    watched: Watched | None = None
    followed: "Followed | None" = field(default=None, repr=False, compare=False)
    name: str = field(default_factory=partial(secrets.token_hex, 8))
    _checks: dict[int, CheckJob] = field(default_factory=dict, init=False, repr=False, compare=False)

    def checks_of(self, collection: Collection) -> CheckJob:
        """Returns the one job that checks a collection, whichever page asks for it, in whatever language."""
        return self._checks.setdefault(id(collection), CheckJob(collection))

    def renewed(self) -> "Services":
        """Returns the services over the collections as the folders are now; these while nothing changed."""
        if self.followed is None:
            return self
        predictor, (beside, missing_beside) = self.followed.current()
        if (predictor, beside, missing_beside) == (self.predictor, self.beside, self.missing_beside):
            return self
        new = replace(
            self,
            predictor=predictor,
            missing_collection=predictor.no_collection,
            notes=self.followed.notes(predictor),
            watched=self.followed.watched(predictor),
            beside=beside,
            missing_beside=missing_beside,
            name=secrets.token_hex(8),
        )
        kept = {id(each) for each in new.collections}
        new._checks.update({of: job for of, job in self._checks.items() if of in kept})
        return new

    def without_collections(self, reason: MermedError) -> "Services":
        """Returns the services without any collection, where it cannot be shown."""
        predictor = with_collection(self.predictor, None, missing=str(reason))
        return replace(
            self,
            predictor=predictor,
            missing_collection=str(reason),
            notes=None,
            watched=None,
            beside=None,
            followed=None,
        )

    @property
    def collections(self) -> tuple[Collection, ...]:
        """The collections that are shown."""
        return tuple(each for each in (self.predictor.explored, self.beside) if each is not None)

    def lacks_cases_of(self, before: "Services") -> bool:
        """Returns whether a case that other services show is in none of these collections."""
        kept = {id(each) for each in self.collections}
        shown = [each.cases["case_id"] for each in self.collections]
        gone = [each.cases["case_id"] for each in before.collections if id(each) not in kept]
        return any(not any(ids.isin(others).all() for others in shown) for ids in gone)

    def let_go_but_for(self, others: "Services") -> None:
        """Lets go of the collections that other services do not show, and stops what is made of them."""
        kept = {id(each) for each in others.collections}
        for of, job in self._checks.items():
            if of not in kept:
                job.end()
        for collection in self.collections:
            if id(collection) not in kept:
                collection.release()


@dataclass(frozen=True, eq=False)
class Followed:
    """The collections that the settings name, as their folders are now.

    Attributes:
        predictor: the model with the collection.
        beside: the second collection; None where none is wanted.
        folder: of the collection.
        writable_notes: whether visitors may write tags and notes.
    """

    predictor: FollowingPredictor
    beside: FollowedCollection | None
    folder: Path
    writable_notes: bool

    def current(self) -> tuple[Predictor, tuple[Collection | None, str]]:
        """Returns the model with its collection; and the second collection, or why it is not there."""
        return self.predictor.current(), (None, "") if self.beside is None else self.beside.current()

    def notes(self, predictor: Predictor) -> SharedNotes | None:
        """Returns the tags and notes beside the collection, None where there is none."""
        shown = predictor.explored is not None
        return SharedNotes(self.folder, writable=self.writable_notes) if shown else None

    def watched(self, predictor: Predictor) -> Watched | None:
        """Returns what tells whether the collection was changed since, None where there is none."""
        return None if predictor.explored is None else Watched(self.folder, predictor.explored.state)


def load_services(settings: Settings) -> Services:
    """Loads the model and the collection.

    Without a collection the page still classifies; it says what is missing.

    Raises:
        ModelError: there is no usable model.
        SettingsError: a place where pictures should be had has none, the tokens of servers cannot be read, or
            the second collection cannot be used.
    """
    pictures, dicomweb = _pictures(settings), dicomweb_servers(settings)
    bringing = None
    if settings.own_collections:
        bringing = Bringing(settings.folders, OwnPages(VISIT_SECONDS, settings.kept_collections))
    followed = _followed(settings, pictures)
    predictor, (beside, missing_beside) = followed.current()
    if followed.predictor.problem:
        logger.warning("no collection: %s", followed.predictor.problem)
    if missing_beside:
        raise SettingsError(f"The environment variable MERMED_BESIDE cannot be used: {missing_beside}")
    services = Services(
        predictor,
        predictor.no_collection,
        dicomweb,
        bringing,
        notes=followed.notes(predictor),
        beside=beside,
        watched=followed.watched(predictor),
        followed=followed,
    )
    _share_cores(services.predictor)
    logger.info("model %s on %s", services.predictor.model_name, services.predictor.device)
    return services


def _followed(settings: Settings, pictures: Pictures | None) -> Followed:
    def opens() -> Collection:
        server = MilvusServer.parse(settings.search, settings.search_token) if settings.search else None
        return load_collection(settings.collection, pictures=pictures, server=server)

    predictor = FollowingPredictor(Predictor.load(settings.model), settings.collection, opens)
    beside = None
    if (folder := settings.beside) is not None:
        beside = FollowedCollection(folder, lambda: load_collection(folder, pictures=pictures))
    return Followed(predictor, beside, settings.collection, settings.notes)


def _pictures(settings: Settings) -> Pictures | None:
    try:
        return Pictures(settings.pictures) if settings.pictures else None
    except ManifestError as error:
        raise SettingsError(f"The environment variable MERMED_PICTURES cannot be used: {error}") from error


def _share_cores(predictor: Predictor) -> None:
    one_core_for_small(sum(each.numel() for each in predictor.embedder.backbone.parameters()))
    predictor.device = describe(predictor.embedder.device)


def begin_warm_up(predictor: Predictor) -> threading.Thread:
    """Runs everything once while the page is already served, so that few visitors wait for lazy set-up."""
    thread = threading.Thread(target=_warm_up, args=(predictor,), name="warm-up")
    thread.start()
    return thread


def _warm_up(predictor: Predictor) -> None:
    image = MedicalImage(np.zeros((64, 64, 3), np.uint8), 1, 0, "PNG", ())
    try:
        predictor.analyse(image)
        _ = predictor.closeness  # measured once
        if predictor.tasks:
            predictor.explain(image, task=predictor.tasks[0].task, label=predictor.tasks[0].classes[0])
    except MermedError as error:  # whoever asks is told it too
        logger.warning("%s", error)
