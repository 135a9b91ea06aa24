"""`mermed analyse`: everything that the model sees in one image."""

import argparse
import json
import logging
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from mermed_core.cli.arguments import add_served, count, positive
from mermed_core.errors import CollectionError, FewShotError, SettingsError, UnsupportedFormatError
from mermed_core.files import DEFAULT_COLLECTION, write_bytes, write_json
from mermed_core.modalities import MODALITIES
from mermed_core.records import RESEARCH_ONLY, Analysis, Embedding, Familiarity, Finding, caution_about

if TYPE_CHECKING:
    from mermed_core.inference.following import FollowingPredictor
    from mermed_core.inference.predictor import Predictor
    from mermed_core.models.few_shot_head import FewShotAnswer
    from mermed_core.reports.case.case_report import CaseReport
    from mermed_core.reports.case.dicom_subject import Subject

SUMMARY = "Say what the model sees in one image, or in all images of a folder."
DETAILS = """\
    mermed analyse scan.dcm
    mermed analyse scan.dcm --frame 12 --json
    mermed analyse scan.dcm --report scan.pdf --report scan.json
    mermed analyse scan.dcm --dicom-out results --same-study
    mermed analyse my/images --csv answers.csv
    mermed analyse 1.2.840.113619.2 --dicomweb PACS

With --json the answer is one object: modality, familiarity (familiar; unusual: no finding is called likely;
unlike: of the modality, but unlike what the findings were learned on; unknown), in_distribution, region,
region_probability, reason, findings (each with likelihood, holds_elsewhere and caution), neighbours, map,
model, notes (how it was read), header_modality (what the DICOM header says, such as ct; MR, say, where that
is none of the seven). No other part of a header is read out.

--dicom-out writes heat_map.dcm (a Secondary Capture) and report.dcm (a Comprehensive SR, TID 1500,
preliminary and unverified). They name no patient and are a study of their own, unless --same-study says
that the file's patient and study are to be read from its header and named in them.

--csv takes a folder, at any depth, or a ZIP archive, and writes a line for each frame of each file (of a file
at most 100), with what is wrong with the picture, such as too_dark or blurred. Ctrl-C keeps what is done.

A DICOM slide that is several files, one for each size, is one picture: name its largest file, or the folder
with --csv. Labels of slides and overviews of the glass are not read: they may name the patient."""

_RECOGNISED = {
    Familiarity.FAMILIAR: "yes",
    Familiarity.UNUSUAL: "ONLY JUST, no finding is called likely",
    Familiarity.UNLIKE: "ONLY THE MODALITY, no findings",
    Familiarity.UNKNOWN: "NO",
}

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.set_defaults(log_level=logging.WARNING)
    parser.add_argument(
        "file",
        type=Path,
        help="an image: DICOM, PNG, JPEG, JPEG 2000, TIFF, WebP, GIF, BMP; with --csv a folder or a ZIP",
    )
    parser.add_argument(
        "--frame", type=positive, default=1, metavar="N", help="frame of a multi-frame file (default: 1)"
    )
    parser.add_argument("--modality", metavar="NAME", help="such as ct or cxr; default: detected")
    parser.add_argument(
        "--neighbours", type=count, default=8, metavar="N", help="how many similar cases (default: 8)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="analyse many files and write a table")
    parser.add_argument(
        "--dicomweb",
        metavar="NAME",
        help="a server of MERMED_DICOMWEB: instead of a file, name a study of it by its StudyInstanceUID, "
        "accession number or patient; without --csv the middle image of its first series is analysed",
    )
    parser.add_argument(
        "--report",
        type=report_file,
        action="append",
        default=[],
        metavar="FILE",
        help="write a report on one page (.pdf) or the same as data (.json); may be repeated",
    )
    parser.add_argument(
        "--dicom-out", type=Path, metavar="FOLDER", help="write the heat map and the report as DICOM files"
    )
    parser.add_argument(
        "--same-study",
        action="store_true",
        help="name the DICOM file's patient and study in what --dicom-out writes",
    )
    parser.add_argument(
        "--head",
        type=Path,
        metavar="FILE",
        help="a classifier of your own to ask as well, made by mermed head",
    )
    add_served(parser)


def run(options: argparse.Namespace) -> None:
    """Analyses the file, or all files of a folder, and prints the answer or where it is.

    Raises:
        ImageError: the file cannot be read as an image.
        ModelError: there is no usable model.
        CollectionError: the collection that was asked for cannot be loaded.
        StudyServerError: the server that was asked for has no such study, or does not answer.
    """
    # Before the seconds that loading takes: a wrong option is said at once.
    study = _study(options)
    sources, place = _sources(study, options.file)
    subject = _subject(options, sources[0])
    if not study and not options.csv:
        _check_single(options.file)
    predictor = load_served(options.model, options.collection)
    if options.csv:
        from mermed_core.cli.many_files import analyse_into, files_in, named

        files = named(study) if study else files_in(options.file)
        analyse_into(options.csv, predictor, files)
    else:
        _analyse_one(options, predictor, sources, subject, place)


def _study(options: argparse.Namespace) -> list[bytes]:
    """Returns the images of the study that a server is asked for; none where none is."""
    if not options.dicomweb:
        return []
    from mermed_core.cli.study_server import fetched_study

    return fetched_study(options.dicomweb, str(options.file))


def _sources(study: list[bytes], path: Path) -> tuple[Sequence[bytes | Path], tuple[int, int] | None]:
    """Returns the file that is analysed, of a study `first_view`; a slide at all its sizes."""
    if not study:
        from mermed_core.imaging.series import slide_files

        return slide_files(path), None
    from mermed_core.cli.study_server import first_view

    return first_view(study)


def _check_single(path: Path) -> None:
    """Raises UnsupportedFormatError where a path leads to many images."""
    from mermed_core.data.zip_members import is_zip

    if path.is_dir() or (path.is_file() and is_zip(path)):
        raise UnsupportedFormatError(
            f"'{path}' holds many files. Name one image, or let --csv FILE write a table of all."
        )


def _analyse_one(
    options: argparse.Namespace,
    predictor: "Predictor",
    sources: Sequence[bytes | Path],
    subject: "Subject | None",
    place: tuple[int, int] | None,
) -> None:
    from mermed_core.inference.batch import read_sizes

    image = read_sizes(predictor, tuple(sources), options.frame - 1)
    embedding = predictor.embed(image, modality=options.modality)
    analysis = predictor.analyse(embedding, neighbours=options.neighbours)
    if options.report or options.dicom_out:
        from mermed_core.inference.case_report import case_report

        chosen = embedding.chosen if options.modality else None
        report = case_report(predictor, image, embedding, chosen=chosen, analysis=analysis, place=place)
        _write(report, options, subject)
    own = _own_answer(predictor, options.head, embedding) if options.head else None
    if options.json:
        answer = analysis.to_dict() | ({"own_head": own.to_dict()} if own else {})
        answer |= dict(zip(("slice", "slices"), place, strict=True)) if place else {}
        print(json.dumps(answer, ensure_ascii=False))
    else:
        read = (
            [f"slice       {place[0]} of {place[1]} of the first series; --csv FILE reads all"]
            if place
            else []
        )
        print("\n".join([*read, *(_own_lines(own) if own else ()), *lines(analysis, embedding.chosen)]))


def report_file(text: str) -> Path:
    """Reads the name of a report, which says by its end what kind it is."""
    path = Path(text)
    if path.suffix.lower() not in (".pdf", ".json"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither a .pdf nor a .json file")
    return path


def _subject(options: argparse.Namespace, source: bytes | Path) -> "Subject | None":
    """Returns whom DICOM files are about; None for nobody."""
    if not options.same_study:
        return None
    if options.dicom_out is None:
        raise SettingsError("--same-study says what --dicom-out FOLDER writes; give both.")
    from mermed_core.reports.case.dicom_subject import Subject

    return Subject.of_file(source)


def _own_answer(predictor: "Predictor", path: Path, embedding: Embedding) -> "FewShotAnswer":
    """Returns what a person's own classifier says."""
    from mermed_core.inference import own_heads

    try:
        data = path.read_bytes()
    except OSError as error:
        raise FewShotError(f"There is no classifier '{path}'; make one with mermed head.") from error
    return own_heads.load(predictor, data).answer(embedding.retrieval)


def _own_lines(answer: "FewShotAnswer") -> list[str]:
    from mermed_core.reports.case.wording import percent

    said = [f"your head   {label} {percent(share)}" for label, share in answer.probabilities.items()]
    if not answer.familiar:
        said.append(
            f"CHECK       the image is unlike those that your head was made of (similarity "
            f"{answer.similarity:.2f}, theirs {answer.reach:.2f} or more); its answer says nothing"
        )
    return said


def _write(report: "CaseReport", options: argparse.Namespace, subject: "Subject | None") -> None:
    """Writes the report into every file that was asked for."""
    from mermed_core.reports.case.case_dicom import render_dicom
    from mermed_core.reports.case.case_pdf import render_pdf

    for path in options.report:
        if path.suffix.lower() == ".json":
            write_json(path, report.to_dict())
        else:
            write_bytes(path, render_pdf(report))
        logger.info("wrote %s", path)
    if options.dicom_out:
        for name, data in render_dicom(report, subject).items():
            write_bytes(options.dicom_out / name, data)
        logger.info("wrote %s", options.dicom_out)


def load_served(model: Path | None, collection: Path | None) -> "Predictor":
    """Loads what was asked for; without the bundled collection, or where it is another model's, the rest.

    Raises:
        ModelError: there is no usable model.
        CollectionError: the collection that was asked for cannot be loaded.
    """
    from mermed_core.inference.predictor import Predictor
    from mermed_core.settings import Settings

    settings = Settings.from_environment()
    model, collection = model or settings.model, collection or settings.collection
    try:
        return Predictor.load(model, collection)
    except CollectionError as error:
        if collection != DEFAULT_COLLECTION:
            raise
        logger.warning("no similar cases: %s", error)
        return Predictor.load(model)


def load_following(model: Path | None, collection: Path | None) -> "FollowingPredictor":
    """Loads what was asked for as `load_served` does, and goes with every change of the collection.

    Raises:
        ModelError: there is no usable model.
        CollectionError: the collection that was asked for cannot be loaded.
    """
    from mermed_core.collections.store import load_collection
    from mermed_core.inference.following import FollowingPredictor
    from mermed_core.inference.predictor import Predictor
    from mermed_core.settings import Settings

    settings = Settings.from_environment()
    model, folder = model or settings.model, collection or settings.collection
    served = FollowingPredictor(Predictor.load(model), folder, lambda: load_collection(folder))
    if served.problem:
        if folder != DEFAULT_COLLECTION:
            raise CollectionError(served.problem)
        logger.warning("no similar cases: %s", served.problem)
    return served


def lines(analysis: Analysis, chosen: str) -> list[str]:
    """Returns the answer for people, line by line.

    Args:
        analysis: of the image.
        chosen: key of the modality that the image was taken as.
    """
    from mermed_core.reports.case.wording import percent

    key, probability = next(iter(analysis.modality.items()))
    said = [f"note        {note}" for note in analysis.notes]
    said.append(
        f"modality    {key} ({percent(probability)})" + ("" if chosen == key else f"; taken as {chosen}")
    )
    if analysis.region:
        said.append(f"region      {analysis.region} ({percent(analysis.region_probability)})")
    stated = analysis.header_modality
    if stated not in (None, key):
        known = stated in MODALITIES
        follow = f"--modality {stated} follows the header" if known else "that is none of the seven kinds"
        said.append(f"CHECK       the DICOM header says {stated}, the model sees {key}; {follow}")
    said.append(f"recognised  {_RECOGNISED[analysis.familiarity]}: {analysis.reason}")
    for _, group in groupby(analysis.findings, key=attrgetter("task")):
        said += _findings(list(group))
    said += [
        f"similar     {hit.similarity:.3f} {hit.case.case_id} ({hit.case.modality}: {hit.case.label})"
        for hit in analysis.neighbours
    ]
    if analysis.point:
        said.append(f"map         {analysis.point.x:.2f}, {analysis.point.y:.2f}")
    return [*said, f"model       {analysis.model}", RESEARCH_ONLY]


def _findings(found: list[Finding]) -> list[str]:
    """Returns a line for each finding of one label set, and one on those that do not hold elsewhere."""
    from mermed_core.reports.case.wording import percent

    task, said = found[0].task, []
    for finding in found:
        held = f" (AUROC elsewhere {finding.elsewhere:.2f})" if finding.holds_elsewhere else ""
        words = f"{finding.label} {percent(finding.probability)}, {finding.likelihood}"
        said.append(f"finding     {task}: {words}{held}")
    doubtful = [finding for finding in found if not finding.holds_elsewhere]
    if doubtful:
        named = "" if len(doubtful) == len(found) else f" ({', '.join(each.label for each in doubtful)})"
        said.append(f"CAUTION     {task}{named}: {caution_about(doubtful)}")
    return said
