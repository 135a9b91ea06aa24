"""What the pages share: the predictor, loaded from where the settings say."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mermed_core.collections.collection import Collection
from mermed_core.collections.folder import Watched
from mermed_core.collections.pictures import Pictures
from mermed_core.collections.store import load_collection
from mermed_core.data.dicomweb import DicomwebServer, dicomweb_servers
from mermed_core.device import describe, one_core_for_small
from mermed_core.errors import CollectionError, ManifestError, MermedError, SearchServerError, SettingsError
from mermed_core.imaging.reader import MedicalImage
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
        watched: tells whether the collection's folder was changed since; None where there is none.
    """

    predictor: Predictor
    missing_collection: str = ""
    dicomweb: Mapping[str, DicomwebServer] = field(default_factory=dict)
    bringing: Bringing | None = None
    own: bool | None = None
    notes: SharedNotes | None = None
    beside: Collection | None = None
    watched: Watched | None = None
    _checks: dict[int, CheckJob] = field(default_factory=dict, init=False, repr=False, compare=False)

    def checks_of(self, collection: Collection) -> CheckJob:
        """Returns the one job that checks a collection, whichever page asks for it, in whatever language."""
        return self._checks.setdefault(id(collection), CheckJob(collection))


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
    try:
        server = MilvusServer.parse(settings.search, settings.search_token) if settings.search else None
        watched = Watched(settings.collection)  # before it is opened: a change meanwhile is told
        loaded = Predictor.load(settings.model, settings.collection, pictures=pictures, server=server)
        notes = SharedNotes(settings.collection, writable=settings.notes)
        services = Services(loaded, loaded.no_collection, dicomweb, bringing, notes=notes, watched=watched)
    except (CollectionError, SearchServerError) as error:
        logger.warning("no collection: %s", error)
        services = Services(Predictor.load(settings.model), str(error), dicomweb, bringing)
    if settings.beside is not None:
        services = replace(services, beside=_beside(settings.beside, pictures))
    _share_cores(services.predictor)
    logger.info("model %s on %s", services.predictor.model_name, services.predictor.device)
    return services


def _pictures(settings: Settings) -> Pictures | None:
    try:
        return Pictures(settings.pictures) if settings.pictures else None
    except ManifestError as error:
        raise SettingsError(f"The environment variable MERMED_PICTURES cannot be used: {error}") from error


def _beside(folder: Path, pictures: Pictures | None) -> Collection:
    try:
        return load_collection(folder, pictures=pictures)
    except CollectionError as error:
        raise SettingsError(f"The environment variable MERMED_BESIDE cannot be used: {error}") from error


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
