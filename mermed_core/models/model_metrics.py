"""metrics.json of a model folder: how good the model was on images that it never saw, as typed values."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from mermed_core.errors import ModelError
from mermed_core.files import write_json

METRICS = "metrics.json"
# What the protocol *unseen source* leaves in the folder of a report.
UNSEEN_SOURCE = "unseen_source.json"

# JSON knows no NaN, and a reader should not have to: what is not defined is None.
_Defined = Annotated[
    float | None, BeforeValidator(lambda value: None if value is None or math.isnan(value) else value)
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def _read(cls, path: Path, prepare: Callable[[dict[str, Any]], dict[str, Any]]) -> Self:
        """Reads a JSON file whose content is prepared before it is checked.

        Raises:
            ModelError: the file is damaged.
        """
        try:
            return cls.model_validate(prepare(json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError, AttributeError) as error:
            problem = str(error.errors()[0]["loc"]) if isinstance(error, ValidationError) else str(error)
            raise ModelError(f"'{path}' is damaged ({problem}); run the evaluation again.") from error


class ClassMetrics(_Frozen):
    """How often one class was found and ruled out on test images, where it counts as found unless unlikely.

    Attributes:
        threshold: probability, 0..1, from which the class is not called unlikely; nor is it as the first.
        shown: test images that show the class.
        found: of these, those in which it was not called unlikely.
        absent: test images that do not show it.
        ruled_out: of these, those in which it was called unlikely.
    """

    threshold: float
    shown: int
    found: int
    absent: int
    ruled_out: int


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
        classes: how often each class was found and ruled out, by label; empty where nobody measured.
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
    classes: dict[str, ClassMetrics] = {}


class WholeModelMetrics(_Frozen):
    """What was measured of the model as a whole; None where it was not.

    Attributes:
        modality_accuracy: share of the test images, 0..1, whose modality is recognised.
        known_accepted: share of the test images, 0..1, that the out-of-distribution detector accepts.
        confident_outside: share, 0..1, of test images that get a finding with a probability above 0.9 from a
            label set that has no label of their source; the mean over label sets and such sources.
        mean_auroc: mean over the label sets that are large enough to count.
        start_mean_auroc: the same for the encoder that the model was trained from.
    """

    modality_accuracy: _Defined = None
    known_accepted: _Defined = None
    confident_outside: _Defined = None
    mean_auroc: _Defined = None
    start_mean_auroc: _Defined = None


class Estimate(_Frozen):
    """A measured number with its uncertainty; None stands for what is not defined.

    Attributes:
        value: the share or AUROC, 0..1.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    value: _Defined = None
    low: _Defined = None
    high: _Defined = None


class SourceMetrics(_Frozen):
    """How the model answered about images of one source while nothing was fitted on that source.

    Attributes:
        modality: key.
        images: how many were asked about.
        modality_right: share whose modality was recognised.
        passed: share that the detector let pass as an image of a known modality.
        confident_wrong: share that got a wrong modality with a probability above 0.9.
        title: name of the source for people.
        in_pretraining: whether the encoder was trained on images of this source, without labels.
    """

    modality: str
    images: int
    modality_right: Estimate = Estimate()
    passed: Estimate = Estimate()
    confident_wrong: Estimate = Estimate()
    title: str = ""
    in_pretraining: bool = False


class KindMetrics(Estimate):
    """Share of the images of one unknown kind that were turned away while that kind was left out.

    Attributes:
        images: how many were asked about.
    """

    images: int


class FindingMetrics(_Frozen):
    """How well a finding is told apart in sources that its head was not fitted on.

    Attributes:
        auroc: mean over the sources.
        sources: those that it was measured on.
    """

    auroc: Estimate = Estimate()
    sources: tuple[str, ...] = ()


class UnseenSourceMetrics(_Frozen):
    """How the model does on sources and kinds that nothing was fitted on: one is left out, then asked about.

    Attributes:
        modality_right: share of images whose modality was recognised, mean over the sources.
        passed: share that the detector let pass, mean over the sources.
        confident_wrong: share with a wrong modality above 0.9, mean over the sources.
        unknown_turned_away: share of images of unknown kinds that were turned away, mean over the kinds.
        sources: by name.
        kinds: unknown kinds, by name.
        findings: by label set, then by class.
    """

    modality_right: Estimate = Estimate()
    passed: Estimate = Estimate()
    confident_wrong: Estimate = Estimate()
    unknown_turned_away: Estimate = Estimate()
    sources: dict[str, SourceMetrics] = {}
    kinds: dict[str, KindMetrics] = {}
    findings: dict[str, dict[str, FindingMetrics]] = {}

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads the file of a report.

        Raises:
            ModelError: the file is damaged.
        """
        return cls._read(path, dict)

    def save(self, path: Path) -> None:
        """Writes the file of a report, the whole of it or nothing."""
        write_json(path, self.model_dump(mode="json"))


class ModelMetrics(_Frozen):
    """Everything that metrics.json holds.

    Attributes:
        tasks: by name of the label set.
        model: the model as a whole.
        unknown_input: share, 0..1, of images of a kind (photographs, noise …) that are rejected as
            out of distribution.
        pointing: share, 0..1, of synthetic findings that hold the peak of a class activation map, by method,
            the best first.
        unseen_source: how the model does on sources that nothing was fitted on, None where nobody measured.
    """

    tasks: dict[str, TaskMetrics] = {}
    model: WholeModelMetrics = WholeModelMetrics()
    unknown_input: dict[str, float] = {}
    pointing: dict[str, float] = {}
    unseen_source: UnseenSourceMetrics | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a metrics.json; a file that is not there gives empty metrics.

        Raises:
            ModelError: the file is damaged.
        """
        if not path.is_file():
            return cls()
        return cls._read(path, _with_sections)

    def save(self, path: Path) -> None:
        """Writes the file, the whole of it or nothing."""
        write_json(path, self.model_dump(mode="json"))

    def updated(self, newer: "ModelMetrics") -> "ModelMetrics":
        """Returns these metrics with everything that `newer` measured in the place of what was here."""
        return ModelMetrics(
            tasks={
                **self.tasks,
                **{task: self._with_classes(task, each) for task, each in newer.tasks.items()},
            },
            model=self.model.model_copy(update=newer.model.model_dump(exclude_none=True)),
            unknown_input=newer.unknown_input or self.unknown_input,
            pointing=newer.pointing or self.pointing,
            unseen_source=newer.unseen_source or self.unseen_source,
        )

    def _with_classes(self, task: str, newer: TaskMetrics) -> TaskMetrics:
        """Returns newer figures of a label set with these classes: an evaluation has heads of its own."""
        if newer.classes or task not in self.tasks:
            return newer
        return newer.model_copy(update={"classes": self.tasks[task].classes})


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
