"""The report as a DICOM Comprehensive SR (TID 1500): probabilities and verdicts that a program can read.

What the model names has no codes in a terminology, so a scheme of our own names it; whoever makes the
report is a device, and the document is preliminary and unverified.
"""

import uuid

from highdicom import UID
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sc import SCImage
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from mermed_core import __version__
from mermed_core.records import RESEARCH_ONLY, Familiarity
from mermed_core.reports.case import wording
from mermed_core.reports.case.case_report import PROGRAM, CaseReport
from mermed_core.reports.case.dicom_subject import Subject, new_uid
from mermed_core.reports.case.findings import FindingSet

SCHEME = "99MERMED"
_SERIES_NUMBER = 9902
_MEANING = 64  # characters of a code's meaning
_DIGITS = 4
_LIKE = {
    Familiarity.FAMILIAR: "Like",
    Familiarity.UNUSUAL: "Only just like",
    Familiarity.UNLIKE: "Unlike the",
}


def structured_report(report: CaseReport, subject: Subject, capture: SCImage) -> ComprehensiveSR:
    """Returns the report as a document of the subject's study.

    Args:
        report: what is reported.
        subject: whom it is about.
        capture: the Secondary Capture of the same report; where no file is named, it stands for the image.
    """
    source = capture if subject.source is None else subject.source
    frames = [report.frame] if subject.source is not None and report.frames > 1 else None
    image = SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID, frames)
    groups = [_image_group(report, image), *(_finding_group(report, each, image) for each in report.findings)]
    content = MeasurementReport(
        observation_context=_observer(report),
        procedure_reported=codes.SCT.Imaging,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    content[0].ContentSequence.extend(_comment(words) for words in (RESEARCH_ONLY, _in_words(report)))
    return ComprehensiveSR(
        evidence=[capture] if subject.source is None else [subject.source, capture],
        content=content[0],
        series_instance_uid=UID(new_uid()),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=UID(new_uid()),
        instance_number=1,
        manufacturer=PROGRAM,
        manufacturer_model_name=report.analysis.model,
        software_versions=__version__,
        series_description="Research use only: findings of a model",
        specific_character_set="ISO_IR 192",
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[CodingSchemeIdentificationItem(designator=SCHEME, name=PROGRAM)],
    )


def _observer(report: CaseReport) -> ObservationContext:
    model = report.analysis.model
    device = DeviceObserverIdentifyingAttributes(
        uid=f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, model).int}",  # one model is one device
        name=PROGRAM,
        manufacturer_name=PROGRAM,
        model_name=model,
        serial_number=__version__,
    )
    return ObservationContext(ObserverContext(codes.DCM.Device, device))


def _image_group(
    report: CaseReport, image: SourceImageForMeasurementGroup
) -> MeasurementsAndQualitativeEvaluations:
    """Returns what kind of image it is: the probability of each modality, the familiarity, the region."""
    analysis = report.analysis
    said = [
        (
            "familiarity",
            "Familiarity",
            f"familiarity:{analysis.familiarity}",
            _familiarity(analysis.familiarity),
        ),
        ("modality", "Modality of the image", f"modality:{_seen(report)}", report.modality),
    ]
    if report.region:
        said.append(("region", "Region of the body", f"region:{analysis.region}", report.region))
    return _group(
        report,
        "image",
        "Kind of image",
        [
            _probability(f"modality:{key}", wording.modality_name(key), share)
            for key, share in analysis.modality.items()
        ],
        said,
        image,
    )


def _familiarity(known: Familiarity) -> str:
    if known is Familiarity.UNKNOWN:
        return wording.UNKNOWN_IMAGE
    return f"{_LIKE[known]} images that the findings were learned on"


def _finding_group(
    report: CaseReport, each: FindingSet, image: SourceImageForMeasurementGroup
) -> MeasurementsAndQualitativeEvaluations:
    """Returns one label set: the probability of each class, the verdict, and whether it holds elsewhere."""
    held = "Shown to hold" if each.holds else "Not shown to hold"
    said = [("generalisation", "In other sources' images", f"held:{each.holds}".lower(), held)]
    if each.headline:
        said.insert(0, ("verdict", "Verdict", f"{each.task}:verdict", each.headline))
    lines = [_probability(f"{each.task}:{line.label}", line.name, line.probability) for line in each.lines]
    return _group(report, each.task, each.title, lines, said, image)


def _group(
    report: CaseReport,
    name: str,
    title: str,
    measurements: list[Measurement],
    said: list[tuple[str, str, str, str]],
    image: SourceImageForMeasurementGroup,
) -> MeasurementsAndQualitativeEvaluations:
    """Returns one group of TID 1501.

    Args:
        report: of the image.
        name: identifier of what is judged.
        title: of it.
        measurements: probabilities.
        said: code and meaning of each question, code and meaning of its answer.
        image: what was judged.
    """
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=UID(new_uid()), identifier=name),
        finding_type=_code(name, title),
        algorithm_id=AlgorithmIdentification(name=report.analysis.model, version=__version__),
        measurements=measurements,
        qualitative_evaluations=[
            QualitativeEvaluation(_code(question, asked), _code(answer, answered))
            for question, asked, answer, answered in said
        ],
        source_images=[image],
    )


def _probability(code: str, meaning: str, share: float) -> Measurement:
    return Measurement(_code(code, meaning), round(share, _DIGITS), codes.UCUM.NoUnits)


def _code(value: str, meaning: str) -> CodedConcept:
    shown = meaning if len(meaning) <= _MEANING else f"{meaning[: _MEANING - 1]}…"
    return CodedConcept(value, SCHEME, shown)


def _seen(report: CaseReport) -> str:
    return report.chosen or next(iter(report.analysis.modality))


def _comment(words: str) -> TextContentItem:
    return TextContentItem(codes.DCM.Comment, words, RelationshipTypeValues.CONTAINS)


def _in_words(report: CaseReport) -> str:
    """Returns the report as text, for viewers that show no more than that."""
    said = [
        ". ".join(filter(None, (report.modality, report.region))) + ".",
        *report.familiarity,
        *report.remarks,
    ]
    for each in report.findings:
        classes = ", ".join(f"{line.name} {line.percent} ({line.likelihood})" for line in each.lines)
        notes = [f"{line.name}: {line.elsewhere}" for line in each.lines if line.elsewhere]
        limits = (each.elsewhere, *notes, each.doubt, each.guarantee, each.evidence, each.warning)
        said.append(f"{each.title}: " + " | ".join(filter(None, (each.headline, classes, *limits))))
    cases = "; ".join(f"{case.label} ({case.source}, {case.similarity:.2f})" for case in report.cases)
    said += [f"Nearest known cases: {cases}"] if cases else []
    return "\r\n".join([*said, report.heat_caption, f"{report.origin}. Not checked by a person."]).strip()
