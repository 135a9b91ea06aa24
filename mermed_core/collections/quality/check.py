"""Everything that can be found in a collection without labels of what is wrong, check by check."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality import (
    confounding,
    doubtful_labels,
    drift,
    duplicates,
    mixed_modalities,
    outliers,
    picture_faults,
    sparse_regions,
)
from mermed_core.collections.quality.confounding import Frames
from mermed_core.collections.quality.findings import CheckResult
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.collections.quality.picture_faults import PictureNumbers
from mermed_core.collections.quality.polar_picture import PolarPictures
from mermed_core.collections.quality.watch import Watch

CHECKS = (
    duplicates.NAME,
    doubtful_labels.NAME,
    outliers.NAME,
    mixed_modalities.NAME,
    picture_faults.NAME,
    sparse_regions.NAME,
    drift.NAME,
    confounding.NAME,
)
_OF_PICTURES = {duplicates.NAME, picture_faults.NAME, confounding.NAME}


def check_collection(
    collection: Collection,
    checks: Sequence[str] = CHECKS,
    *,
    most: int = 1000,
    drift_by: str = "source",
    neighbours: Neighbourhood | None = None,
    watch: Watch | None = None,
) -> Iterator[CheckResult]:
    """Runs checks one after the other and yields each result when it is there.

    Args:
        collection: what is checked; where it has no pictures, vectors serve as far as they can.
        checks: names out of `CHECKS`; duplicates come with leakage across splits.
        most: suspects of a check that are kept, the most suspicious.
        drift_by: column of the records whose values are compared for drift.
        neighbours: of all cases, where they are known already.
        watch: is told of the progress.

    Raises:
        CollectionError: there is no such column.
    """
    watch = watch or Watch()
    neighbours = neighbours or Neighbourhood.of(collection, watch=watch)
    pictures = _Pictures(collection, watch) if _OF_PICTURES & set(checks) else None
    if duplicates.NAME in checks:
        kinds = collection.records["modality"].to_numpy()
        polar = pictures.polar if pictures else None
        pairs = duplicates.compare_pairs(collection.vectors, kinds, neighbours, polar, watch=watch)
        yield from duplicates.check_duplicates(collection, pairs, most)
    if doubtful_labels.NAME in checks:
        watch.begin(doubtful_labels.NAME, 0)
        yield doubtful_labels.check_labels(collection, neighbours, most)
    if outliers.NAME in checks:
        watch.begin(outliers.NAME, 0)
        yield outliers.check_outliers(collection, neighbours, most)
    if mixed_modalities.NAME in checks:
        watch.begin(mixed_modalities.NAME, 0)
        yield mixed_modalities.check_modalities(collection, neighbours, most)
    if picture_faults.NAME in checks and pictures and pictures.numbers:
        yield picture_faults.check_pictures(collection, pictures.numbers, most)
    if sparse_regions.NAME in checks:
        watch.begin(sparse_regions.NAME, 0)
        yield sparse_regions.check_regions(collection, neighbours, most)
    if drift.NAME in checks:
        yield drift.check_drift(collection, most, column=drift_by, watch=watch)
    if confounding.NAME in checks:
        watch.begin(confounding.NAME, 0)
        yield confounding.check_confounding(collection, pictures.frames if pictures else None, most)


class _Pictures:
    """What the checks need of the pictures, each read once; None where there is no picture at all."""

    def __init__(self, collection: Collection, watch: Watch) -> None:
        self.polar: PolarPictures | None = None
        self.numbers: PictureNumbers | None = None
        self.frames: Frames | None = None
        if collection.has_pictures:
            self._read(collection, watch)

    def _read(self, collection: Collection, watch: Watch) -> None:
        cases = len(collection)
        self.polar, self.numbers = PolarPictures.empty(cases), PictureNumbers.empty(cases)
        self.frames = Frames.empty(cases)
        ids = collection.records["case_id"]
        found = 0
        watch.begin("pictures", cases)
        for row, case_id in enumerate(ids):
            watch.advance(1)
            encoded = collection.thumbnail(str(case_id))
            if encoded is None:
                continue
            with Image.open(io.BytesIO(encoded)) as image:
                pixels = np.asarray(image.convert("RGB"))
            for part in (self.polar, self.numbers, self.frames):
                part.put(row, pixels)
            found += 1
        if not found:
            self.polar = self.numbers = self.frames = None
