"""metrics.json of a model folder: how good the model was on images that it never saw, as typed values."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from mermed_core.errors import ModelError
from mermed_core.files import write_json

METRICS = "metrics.json"

# JSON knows no NaN, and a reader should not have to: what is not defined is None.
_Defined = Annotated[
    float | None, BeforeValidator(lambda value: None if value is None or math.isnan(value) else value)
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskMetrics(_Frozen):
    """How good the head of one label set is on its test split; None stands for what is not defined.

    Attributes:
        modality: key.
        n_test: number of test images.
        n_groups: how many patients, lesions or tiles of origin they come from.
        auroc: macro one-versus-rest AUROC, 0..1.
        auroc_low: lower end of its 95 % interval.
        auroc_high: upper end.
        ece: expected calibration error, 0..1.
        start_auroc: AUROC of the encoder that the model was trained from.
        cross_validated_auroc: AUROC by cross-validation over the groups of the whole set.
        cross_validated_low: lower end of its 95 % interval.
        cross_validated_high: upper end.
        title: name of the data set for people.
        caveat: what the numbers cannot show, in a sentence.
        names: names of the classes for people, where they differ from the label.
    """

    modality: str
    n_test: int
    n_groups: int
    auroc: _Defined = None
    auroc_low: _Defined = None
    auroc_high: _Defined = None
    ece: _Defined = None
    start_auroc: _Defined = None
    cross_validated_auroc: _Defined = None
    cross_validated_low: _Defined = None
    cross_validated_high: _Defined = None
    title: str = ""
    caveat: str = ""
    names: dict[str, str] = {}


class WholeModelMetrics(_Frozen):
    """What was measured of the model as a whole; None where it was not.

    Attributes:
        modality_accuracy: share of the test images, 0..1, whose modality is recognised.
        known_accepted: share of the test images, 0..1, that the out-of-distribution detector accepts.
        mean_auroc: mean over the label sets that are large enough to count.
        start_mean_auroc: the same for the encoder that the model was trained from.
    """

    modality_accuracy: _Defined = None
    known_accepted: _Defined = None
    mean_auroc: _Defined = None
    start_mean_auroc: _Defined = None


class ModelMetrics(_Frozen):
    """Everything that metrics.json holds.

    Attributes:
        tasks: by name of the label set.
        model: the model as a whole.
        unknown_input: share, 0..1, of images of a kind (photographs, noise …) that are rejected as
            out of distribution.
        pointing: share, 0..1, of synthetic findings that hold the peak of a class activation map, by method,
            the best first.
    """

    tasks: dict[str, TaskMetrics] = {}
    model: WholeModelMetrics = WholeModelMetrics()
    unknown_input: dict[str, float] = {}
    pointing: dict[str, float] = {}

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a metrics.json; a file that is not there gives empty metrics.

        Raises:
            ModelError: the file is damaged.
        """
        if not path.is_file():
            return cls()
        try:
            return cls.model_validate(_with_sections(json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError, AttributeError) as error:
            problem = str(error.errors()[0]["loc"]) if isinstance(error, ValidationError) else str(error)
            raise ModelError(f"'{path}' is damaged ({problem}); run the evaluation again.") from error

    def save(self, path: Path) -> None:
        """Writes the file, the whole of it or nothing."""
        write_json(path, self.model_dump(mode="json"))

    def updated(self, newer: "ModelMetrics") -> "ModelMetrics":
        """Returns these metrics with everything that `newer` measured in the place of what was here."""
        return ModelMetrics(
            tasks={**self.tasks, **newer.tasks},
            model=self.model.model_copy(update=newer.model.model_dump(exclude_none=True)),
            unknown_input=newer.unknown_input or self.unknown_input,
            pointing=newer.pointing or self.pointing,
        )


_OLD_PREFIXES = {"rejected_": "unknown_input", "pointing_": "pointing"}


def _with_sections(value: dict[str, Any]) -> dict[str, Any]:
    """Returns the content of a file as it is written today; the first models had one flat table."""
    if not value.keys().isdisjoint(ModelMetrics.model_fields):
        return value
    sections: dict[str, Any] = {"tasks": {}, "model": {}, "unknown_input": {}, "pointing": {}}
    for name, content in value.items():
        prefix = next((prefix for prefix in _OLD_PREFIXES if name.startswith(prefix)), "")
        if isinstance(content, dict):
            entry = {key.replace("crossed_", "cross_validated_"): each for key, each in content.items()}
            sections["tasks"][name] = entry
        elif prefix:
            sections[_OLD_PREFIXES[prefix]][name.removeprefix(prefix)] = content
        else:
            sections["model"][name] = content
    return sections
