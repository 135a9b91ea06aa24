"""Label sets that join the labels of several sources, and the part of the body that an image shows."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from mermed_core.data.manifest import LabelSet, Manifest
from mermed_core.errors import ManifestError

LABEL_SETS = Path(__file__).with_name("label_sets.toml")


@dataclass(frozen=True)
class LabelledImages:
    """The images of one label set.

    Attributes:
        label_set: its name, kind and classes.
        rows: positions of the images in the manifest.
        labels: of each, as the label set names them.
    """

    label_set: LabelSet
    rows: np.ndarray
    labels: list[list[str]]


class JoinedLabelSet(BaseModel):
    """Classes that several sources have in common, under whatever names.

    Attributes:
        modality: key.
        region: the part of the body that its images show.
        classes: by name, the labels that mean it, as SOURCE:LABEL.
        title: name for people.
        caveat: what its results cannot show, in a sentence.
        names: of classes for people, where they differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: str
    region: str
    classes: dict[str, tuple[str, ...]]
    title: str = ""
    caveat: str = ""
    names: dict[str, str] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that it joins, sorted."""
        labels = [label for labels in self.classes.values() for label in labels]
        return tuple(sorted({label.partition(":")[0] for label in labels}))


class LabelSets(BaseModel):
    """Everything that a file of label sets states.

    Attributes:
        sets: by name.
        regions: the part of the body by SOURCE or SOURCE:LABEL.
        no_findings: sources whose labels are no findings, such as those that name a part of the body.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sets: dict[str, JoinedLabelSet] = {}
    regions: dict[str, str] = {}
    no_findings: tuple[str, ...] = ()

    def facts(self) -> dict[str, dict[str, Any]]:
        """Returns title, caveat and names of each label set, as `datasets.toml` states them of a source."""
        return {
            name: {"title": each.title, "caveat": each.caveat, "names": each.names}
            for name, each in self.sets.items()
        }

    def labelled(self, manifest: Manifest) -> tuple["LabelledImages", ...]:
        """Returns the images of every label set: first of the joined ones, then of each other source.

        An image can belong to several sets. Of a source that is joined somewhere only the images that a set
        names are in any. A set of which the manifest shows a single class joins nothing.

        Raises:
            ManifestError: a label set mixes modalities.
        """
        stated = _stated(manifest)
        frame = manifest.frame
        found, joined = [], set(self.no_findings)
        for name, label_set in self.sets.items():
            meaning = {label: key for key, labels in label_set.classes.items() for label in labels}
            classes = stated.map(meaning)
            rows = np.flatnonzero(classes.notna())
            there = tuple(key for key in label_set.classes if (classes == key).any())
            if len(there) < 2:
                continue
            joined.update(label_set.sources)
            known = LabelSet(name, "multiclass", there)
            found.append(LabelledImages(known, rows, [[each] for each in classes.iloc[rows]]))
        others = (~frame["source"].isin(joined) & frame["labels"].notna()).to_numpy()
        for label_set in manifest.select(others).label_sets():
            rows = np.flatnonzero(others & (frame["task"] == label_set.task).to_numpy())
            found.append(LabelledImages(label_set, rows, [list(each) for each in frame["labels"].iloc[rows]]))
        for each in found:
            if len(modalities := frame["modality"].iloc[each.rows].unique()) > 1:
                task, mixed = each.label_set.task, ", ".join(modalities)
                raise ManifestError(f"task '{task}' mixes the modalities {mixed}.", column="task")
        return tuple(each for each in found if len(each.rows))

    def meanings(self, label_set: LabelSet, sources: Iterable[str]) -> dict[str, str]:
        """Returns the class that each label of the sources of a label set stands for, by SOURCE:LABEL."""
        if (joined := self.sets.get(label_set.task)) is not None:
            return {label: name for name in label_set.classes for label in joined.classes[name]}
        return {f"{source}:{name}": name for source in sorted(set(sources)) for name in label_set.classes}

    def regions_of(self, manifest: Manifest) -> np.ndarray:
        """Returns the part of the body (images,) that each image shows, "" where none is stated."""
        by_source = manifest.frame["source"].map(self.regions)
        stated = _stated(manifest).map(self.regions).fillna(by_source)
        modality_of = {source: each.region for each in self.sets.values() for source in each.sources}
        return stated.fillna(manifest.frame["source"].map(modality_of)).fillna("").to_numpy(dtype=object)


def read_label_sets(path: Path = LABEL_SETS) -> LabelSets:
    """Reads a file of label sets.

    Raises:
        ManifestError: the file is missing, not TOML, or states something else.
    """
    try:
        return LabelSets.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"'{path}' cannot be read as TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ManifestError(f"'{path}': {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


def _stated(manifest: Manifest) -> pd.Series:
    """Returns SOURCE:LABEL of every image with a single label, None of the others."""
    frame = manifest.frame
    return pd.Series(
        [
            f"{source}:{labels[0]}" if labels is not None and len(labels) == 1 else None
            for source, labels in zip(frame["source"], frame["labels"], strict=True)
        ],
        dtype=object,
    )
