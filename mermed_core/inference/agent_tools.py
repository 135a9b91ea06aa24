"""What an agent may ask: one object of plain values for each question, in which abstaining is an answer.

Each says its `status`, and `abstained_because`, which is "" where there is an answer.

An image comes as base64, or as a path where the host allows its folder. Nothing of it is kept.
"""

import base64
import binascii
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mermed_core.collections.collection import Collection
from mermed_core.errors import CollectionError, ImageError, UnsupportedFormatError
from mermed_core.imaging.overlay import fitted, laid_over
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.following import FollowingPredictor
from mermed_core.inference.map_check import map_warnings
from mermed_core.inference.predictor import Predictor
from mermed_core.inference.refinement import Marks
from mermed_core.modalities import modality_key
from mermed_core.records import RESEARCH_ONLY, Embedding, Familiarity, Neighbour, Saliency
from mermed_core.reports.case import wording
from mermed_core.search.filters import Filter

ANSWERED, ABSTAINED = "answered", "abstained"
_MOST = 50  # cases in one answer
_OVERLAY_SIDE = 512
_REASONS = {
    Familiarity.UNLIKE: "unlike_what_findings_were_learned_on",
    Familiarity.UNKNOWN: "not_an_image_the_model_recognises",
}
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


class AgentTools:
    """The questions, each a method that returns plain values.

    Args:
        predictor: answers.
        folders: whose files may be named by their path; none by default.
    """

    def __init__(self, predictor: Predictor | FollowingPredictor, folders: Sequence[Path] = ()) -> None:
        self._served = predictor
        self._folders = [folder.resolve() for folder in folders]

    def analyse(self, image: str = "", path: str = "", neighbours: int = 5) -> dict[str, Any]:
        """Says what the model sees in one image.

        Args:
            image: the file in base64.
            path: or where it is.
            neighbours: how many similar cases.
        """
        analysis = self._predictor.analyse(self._read(image, path), neighbours=_bounded(neighbours))
        reason = _REASONS.get(analysis.familiarity, "")
        return {**_status(reason), **analysis.to_dict(), "use": RESEARCH_ONLY}

    def similar(
        self,
        image: str = "",
        path: str = "",
        case_id: str = "",
        count: int = 8,
        modality: str = "",
        good: Sequence[str] = (),
        bad: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Finds the known cases most similar to an image or to a case.

        Args:
            image: the file in base64.
            path: or where it is.
            case_id: or a case of the collection.
            count: how many.
            modality: only cases of this one, such as "ct".
            good: ids of cases that were good answers before.
            bad: ids of cases that were bad ones.
        """
        collection = self._collection()
        query: Embedding | str = case_id or self._predictor.embed(self._read(image, path))
        hits = self._predictor.similar(
            query,
            count=_bounded(count),
            where=Filter({"modality": [modality_key(modality)]} if modality else {}),
            marks=Marks(tuple(good), tuple(bad)),
        )
        best = max((hit.similarity for hit in hits), default=-1.0)
        near = best >= collection.usual_similarity
        return {
            **_status("" if near else "no_similar_case"),
            "usual_similarity": collection.usual_similarity,
            "cases": [_case(hit, collection) for hit in hits],
            "exact": hits.exact,
            "use": RESEARCH_ONLY,
        }

    def explain(
        self, label_set: str, label: str, image: str = "", path: str = ""
    ) -> tuple[dict[str, Any], bytes | None]:
        """Says where an image speaks for one class of a label set, and draws it.

        Args:
            label_set: one that `analyse` gave findings of.
            label: the class.
            image: the file in base64.
            path: or where it is.

        Returns:
            What is to be known of the map, and a PNG of the image with the map over it; None where the model
            abstains.
        """
        read = self._read(image, path)
        embedding = self._predictor.embed(read)
        analysis = self._predictor.analyse(embedding, neighbours=0)
        if label_set not in {finding.task for finding in analysis.findings}:
            reason = _REASONS.get(analysis.familiarity, "label_set_not_for_this_image")
            return {**_status(reason), "use": RESEARCH_ONLY}, None
        saliency = self._predictor.explain(read, task=label_set, label=label, embedding=embedding)
        faint = saliency.peak < wording.FAINT_PEAK
        said = {
            **_status("map_too_faint_to_mean_anything" if faint else ""),
            "label_set": label_set,
            "label": label,
            "method": saliency.method,
            "peak": saliency.peak,
            "hottest": _hottest(saliency),
            "warnings": list(map_warnings(saliency.heat)),
            "use": RESEARCH_ONLY,
        }
        return said, _overlay(read, saliency)

    def compare(
        self,
        image: str = "",
        path: str = "",
        case_id: str = "",
        other_image: str = "",
        other_path: str = "",
        other_case_id: str = "",
    ) -> dict[str, Any]:
        """Says how alike two images or cases are.

        Args:
            image: the first file in base64.
            path: or where it is.
            case_id: or a case of the collection.
            other_image: the second, likewise.
            other_path: or where it is.
            other_case_id: or a case of the collection.
        """
        first, second = self._side(image, path, case_id), self._side(other_image, other_path, other_case_id)
        similarity = float(np.dot(first.pop("vector"), second.pop("vector")))
        known = first["in_distribution"] and second["in_distribution"]
        collection = self._predictor.collection
        usual = collection.usual_similarity if collection else None
        return {
            **_status("" if known else _REASONS[Familiarity.UNKNOWN]),
            "similarity": similarity,
            "usual_similarity": usual,
            "as_near_as_known_cases_are": None if usual is None else similarity >= usual,
            "same_modality": first["modality"] == second["modality"],
            "first": first,
            "second": second,
            "use": RESEARCH_ONLY,
        }

    def collection_stats(self) -> dict[str, Any]:
        """Says what the collection of known cases holds, and which model made it."""
        collection = self._collection()
        labels = collection.records["labels"].explode().dropna()
        facts = {str(name): collection.source(str(name)) for name in collection.values("source")}
        counts = {str(name): int(n) for name, n in collection.records["source"].value_counts().items()}
        return {
            **_status(),
            "name": collection.name,
            "description": collection.description,
            "cases": len(collection),
            "of_patients": not collection.synthetic,
            "modalities": {
                str(key): int(n) for key, n in collection.records["modality"].value_counts().items()
            },
            "labels": {str(name): int(count) for name, count in labels.value_counts().items()},
            "sources": {
                name: {"cases": counts[name], "title": each.title, "licence": each.licence}
                for name, each in facts.items()
            },
            "usual_similarity": collection.usual_similarity,
            "label_sets": {each.task: list(each.classes) for each in self._predictor.tasks},
            "model": self._predictor.model_name,
            "use": RESEARCH_ONLY,
        }

    @property
    def _predictor(self) -> Predictor:
        return self._served if isinstance(self._served, Predictor) else self._served.current()

    def _collection(self) -> Collection:
        predictor = self._predictor
        if predictor.collection is None:
            raise CollectionError(predictor.no_collection)
        return predictor.collection

    def _side(self, image: str, path: str, case_id: str) -> dict[str, Any]:
        if case_id:
            case = self._collection().case(case_id)
            vector = self._predictor.retrieval_vector(case_id)
            return {"case_id": case_id, "modality": case.modality, "in_distribution": True, "vector": vector}
        embedding = self._predictor.embed(self._read(image, path))
        analysis = self._predictor.analyse(embedding, neighbours=0)
        return {
            "case_id": "",
            "modality": next(iter(analysis.modality)),
            "in_distribution": analysis.in_distribution,
            "vector": embedding.retrieval,
        }

    def _read(self, image: str, path: str) -> MedicalImage:
        """Reads an image from base64 or an allowed path; raises a kind of ImageError."""
        if bool(image) == bool(path):
            raise UnsupportedFormatError("Give one image: its file in base64, or a path.")
        return self._predictor.read(_decoded(image) if image else self._allowed(path))

    def _allowed(self, path: str) -> Path:
        file = Path(path).expanduser().resolve()
        if not any(file.is_relative_to(folder) for folder in self._folders) or not file.is_file():
            raise UnsupportedFormatError(
                "There is no such file in a folder that may be read. The host allows folders with --allow; "
                "otherwise send the file in base64."
            )
        return file


def _decoded(image: str) -> bytes:
    if image.startswith("data:"):
        image = image.partition(",")[2]
    try:
        return base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("The image is not base64. Send the bytes of the file in base64.") from error


def _status(reason: str = "") -> dict[str, str]:
    """Returns whether there is an answer, and why there is none, "" for no reason."""
    return {"status": ABSTAINED if reason else ANSWERED, "abstained_because": reason}


def _case(hit: Neighbour, collection: Collection) -> dict[str, Any]:
    facts = collection.source(hit.case.source)
    return {
        "case_id": hit.case.case_id,
        "similarity": hit.similarity,
        "labels": list(hit.case.labels),
        "modality": hit.case.modality,
        "source": facts.title,
        "licence": facts.licence,
    }


def _hottest(saliency: Saliency) -> dict[str, Any]:
    """Returns where the map is hottest, as shares of width and height and in words."""
    row, column = np.unravel_index(int(saliency.heat.argmax()), saliency.heat.shape)
    y, x = float(row / saliency.heat.shape[0]), float(column / saliency.heat.shape[1])
    return {"x": round(x, 3), "y": round(y, 3), "where": f"{_ROWS[int(3 * y)]} {_COLUMNS[int(3 * x)]}"}


def _overlay(image: MedicalImage, saliency: Saliency) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(fitted(laid_over(image.pixels, saliency.heat), _OVERLAY_SIDE)).save(buffer, "PNG")
    return buffer.getvalue()


def _bounded(count: int) -> int:
    return max(0, min(int(count), _MOST))
