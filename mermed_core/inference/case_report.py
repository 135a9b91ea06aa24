"""The report on one image: asks the predictor everything that a report says."""

from collections.abc import Sequence
from datetime import datetime

from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.map_check import MapCheck, check_map, map_warnings
from mermed_core.inference.neighbourhood import doubts, in_words, none_similar
from mermed_core.inference.predictor import Predictor
from mermed_core.inference.second_look import SecondLook, second_look
from mermed_core.models.cam import DEFAULT
from mermed_core.records import Analysis, Embedding, Saliency
from mermed_core.reports.case import neighbour_wording, report_wording, wording
from mermed_core.reports.case.case_report import CaseReport, near_cases
from mermed_core.reports.case.findings import finding_sets
from mermed_core.reports.case.trials import Look, MapTrial


def case_report(
    predictor: Predictor,
    image: MedicalImage,
    embedding: Embedding,
    *,
    chosen: str | None = None,
    explained: tuple[str, str] | None = None,
    method: str = DEFAULT,
    neighbours: int = 8,
    analysis: Analysis | None = None,
    looks: Sequence[SecondLook] | None = None,
    check: MapCheck | None = None,
    place: tuple[int, int] | None = None,
) -> CaseReport:
    """Returns the report on one image.

    Args:
        predictor: answers.
        image: from `Predictor.read`.
        embedding: of the image.
        chosen: key of the modality that a person set, None where it was detected.
        explained: label set and class that the heat map is for; None takes the first finding.
        method: how the heat map is drawn, see `models.cam`.
        neighbours: how many similar cases.
        analysis: of the embedding, where it is there already.
        looks: second looks at the image; None takes them.
        check: what trying this heat map of the explained class gave; None tries it.
        place: which picture of a series of files it is, from 1, and of how many; None of a file by itself.

    Raises:
        ModelError: the model has no such label set or class.
    """
    analysis = analysis or predictor.analyse(embedding, neighbours=neighbours)
    if explained is None and analysis.findings:
        explained = (analysis.findings[0].task, analysis.findings[0].label)
    heat = _heat(predictor, image, embedding, explained, method) if explained else None
    if heat is not None:
        check = check or check_map(predictor, image, embedding, heat)
    if looks is None:
        looks = second_look(predictor, image, embedding, analysis)
    collection = predictor.collection
    return CaseReport(
        pixels=image.pixels,
        kind=image.kind,
        frame=image.frame + 1,
        frames=image.frames,
        analysis=analysis,
        chosen=chosen,
        findings=finding_sets(analysis, predictor.tasks, predictor.metrics, doubts(predictor, analysis)),
        heat=heat,
        heat_class=wording.class_name(predictor.metrics, *explained) if explained else "",
        cases=near_cases(collection, analysis.neighbours) if collection else (),
        cases_note=_cases_note(predictor, analysis),
        collection=collection.name if collection else "",
        created=datetime.now().astimezone(),
        looks=tuple(_look(predictor, each) for each in looks),
        map_trial=None if check is None else _trial(check),
        heat_warnings=map_warnings(heat.heat) if heat else (),
        place=place,
    )


def _heat(
    predictor: Predictor, image: MedicalImage, embedding: Embedding, explained: tuple[str, str], method: str
) -> Saliency:
    task, label = explained
    return predictor.explain(image, task=task, label=label, embedding=embedding, method=method)


def _look(predictor: Predictor, look: SecondLook) -> Look:
    def name(label: str) -> str:
        return wording.class_name(predictor.metrics, look.task, label)

    turned = tuple((change, name(label)) for change, label in look.turned)
    return Look(
        look.task, look.label, name(look.label), look.low, look.high, look.copies, turned, look.stable
    )


def _trial(check: MapCheck) -> MapTrial:
    return MapTrial(check.shuffled, check.before, check.after, check.like_shuffled)


def _cases_note(predictor: Predictor, analysis: Analysis) -> str:
    if predictor.collection is None:
        return report_wording.NO_COLLECTION
    if not analysis.in_distribution:
        return neighbour_wording.NEAREST_ANYWAY
    far = ""
    if none_similar(predictor, analysis):
        best, usual = analysis.neighbours[0].similarity, predictor.collection.usual_similarity
        far = neighbour_wording.none_near(best, usual)
    return " ".join(filter(None, (far, *in_words(predictor, analysis))))
