"""One image with all that the model says of it, ready to be written as a PDF, as JSON or as DICOM."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mermed_core import __version__
from mermed_core.languages.say import in_readers_words, spoken
from mermed_core.records import Analysis, Familiarity, Neighbour, Saliency
from mermed_core.reports.case import neighbour_wording, report_wording, wording
from mermed_core.reports.case.findings import FindingSet
from mermed_core.reports.case.trials import Look, MapTrial
from mermed_core.reports.text import humanise

if TYPE_CHECKING:
    from mermed_core.collections.collection import Collection

PROGRAM = "MerMED-FM Explorer"


@dataclass(frozen=True)
class NearCase:
    """One of the known cases that are most like the image.

    Attributes:
        case_id: in its collection.
        similarity: cosine, −1..1.
        label: its labels for people.
        modality: its modality for people.
        source: title of the data set that it comes from.
        licence: of that data set, "" where it is not stated.
        home: address of the data set's page, "" where none is known.
        thumbnail: a JPEG, None where there is no picture.
    """

    case_id: str
    similarity: float
    label: str
    modality: str
    source: str
    licence: str
    home: str
    thumbnail: bytes | None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON, without the picture."""
        values = asdict(self)
        del values["thumbnail"]
        return values


@dataclass(frozen=True, repr=False)  # no log can hold it
class CaseReport:
    """What a report on one image says. Nothing in it is from a file's header but the modality.

    Attributes:
        pixels: (height, width, 3) uint8, the image.
        kind: of its file, such as DICOM.
        frame: which frame it is, from 1.
        frames: how many the file has.
        analysis: of the image.
        chosen: key of the modality that a person set, None where it was detected.
        findings: by label set.
        heat: where the model looked for one class; None where nothing was explained.
        heat_class: name of that class for people.
        cases: the nearest known cases, nearest first.
        cases_note: that they are not near, or why there are none; "" where nothing is to be said.
        collection: name of the collection that they come from, "" without one.
        created: when the report was made, with its time zone.
        looks: what second looks gave, of each label set; empty where none was taken.
        map_trial: what trying the heat map gave, None where it was not tried.
        heat_warnings: what is wrong with the heat map, in sentences.
        place: which picture of a series of files it is, from 1, and of how many; None of a file by itself.
    """

    pixels: np.ndarray
    kind: str
    frame: int
    frames: int
    analysis: Analysis
    chosen: str | None
    findings: tuple[FindingSet, ...]
    heat: Saliency | None
    heat_class: str
    cases: tuple[NearCase, ...]
    cases_note: str
    collection: str
    created: datetime
    looks: tuple[Look, ...] = ()
    map_trial: MapTrial | None = None
    heat_warnings: tuple[str, ...] = ()
    place: tuple[int, int] | None = None

    @property
    def modality(self) -> str:
        """The modality and how sure it is, or that the image is not recognised."""
        if not self.analysis.in_distribution:
            return wording.UNKNOWN_IMAGE
        key = self.chosen or next(iter(self.analysis.modality))
        sure = wording.set_by(wording.THE_USER) if self.chosen else self._percent_of(key)
        return f"{wording.modality_name(key)} ({sure})"

    @property
    def region(self) -> str:
        """The region of the body and how sure it is, "" where none is known or the image is unlike."""
        name = "" if self.analysis.familiarity is Familiarity.UNLIKE else self._region_name
        return f"{humanise(name)} ({wording.percent(self.analysis.region_probability)})" if name else ""

    @property
    def familiarity(self) -> tuple[str, ...]:
        """How well the model knows images of this kind and why, in sentences."""
        said = [in_readers_words(self.analysis.reason)]
        if self.analysis.familiarity is Familiarity.UNLIKE:
            key = self.chosen or next(iter(self.analysis.modality))
            by = wording.THE_USER if self.chosen else ""
            said.insert(0, wording.unlike(key, self._region_name, chosen_by=by))
        elif self.analysis.familiarity is Familiarity.UNKNOWN and self.chosen:
            said.append(wording.read_as(self.chosen, wording.THE_USER))
        return tuple(said)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the file's header says of the modality, and how the image was read, in sentences."""
        stated = self.analysis.header_modality
        seen = next(iter(self.analysis.modality)) if self.analysis.in_distribution else None
        header = () if stated is None else (wording.header_modality(stated, seen),)
        return (*header, *map(in_readers_words, self.analysis.notes))

    @property
    def image_caption(self) -> str:
        """What kind of file the image is of, how large it is, and which frame of it or slice of a series."""
        height, width = self.pixels.shape[:2]
        said = report_wording.image_caption(self.kind, width, height, self.frame, self.frames)
        return said if self.place is None else said + report_wording.place_in_series(*self.place)

    @property
    def heat_caption(self) -> str:
        """What the heat map shows and how far it goes, "" where there is none."""
        if self.heat is None:
            return ""
        said = [wording.heat_map(self.heat.method, self.heat_class, self.heat.peak)]
        said += [wording.FAINT_MAP] * (self.heat.peak < wording.FAINT_PEAK)
        tried = [self.map_trial.said] if self.map_trial else []
        return " ".join([*said, *self.heat_warnings, wording.COARSE_MAP, *tried])

    @property
    def origin(self) -> str:
        """Which program and model answered."""
        return report_wording.origin(f"{PROGRAM} {__version__}", self.analysis.model, self.collection)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON: those of the analysis, and what the report adds to them."""
        heat = self.heat
        return {
            **self.analysis.to_dict(),
            "language": spoken().code,
            "intended_use": report_wording.RESEARCH_ONLY,
            "created": self.created.isoformat(timespec="seconds"),
            "program": f"{PROGRAM} {__version__}",
            "image": {"kind": self.kind, "frame": self.frame, "frames": self.frames}
            | dict(zip(("slice", "slices"), self.place or (None, None), strict=True))
            | dict(zip(("height", "width"), self.pixels.shape[:2], strict=True)),
            "modality_set_by_user": self.chosen,
            "said": {"modality": self.modality, "region": self.region, "familiarity": self.familiarity}
            | {"remarks": self.remarks, "cases": self.cases_note},
            "finding_sets": [each.to_dict() for each in self.findings],
            "heat_map": None
            if heat is None
            else {"task": heat.task, "label": heat.label, "method": heat.method, "peak": heat.peak}
            | {"caption": self.heat_caption, "warnings": self.heat_warnings}
            | {"trial": self.map_trial.to_dict() if self.map_trial else None},
            "second_look": [each.to_dict() for each in self.looks],
            "collection": self.collection,
            "neighbours": [case.to_dict() for case in self.cases],
        }

    @property
    def _region_name(self) -> str:
        key = self.chosen or next(iter(self.analysis.modality))
        return wording.region(self.analysis.region, key) if self.analysis.region else ""

    def _percent_of(self, key: str) -> str:
        return wording.percent(self.analysis.modality[key])


def near_cases(collection: "Collection", neighbours: Sequence[Neighbour]) -> tuple[NearCase, ...]:
    """Returns what a report says of the nearest cases."""
    return tuple(_near_case(collection, neighbour) for neighbour in neighbours)


def _near_case(collection: "Collection", neighbour: Neighbour) -> NearCase:
    case = neighbour.case
    facts = collection.source(case.source)
    return NearCase(
        case.case_id,
        neighbour.similarity,
        neighbour_wording.labels(collection, case.labels),
        neighbour_wording.modality_said(case.modality, case.modality_told),
        neighbour_wording.source_title(facts),
        neighbour_wording.licence(facts.licence),
        facts.home,
        collection.thumbnail(case.case_id),
    )
