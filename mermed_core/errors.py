"""The errors that a user can cause. Each message is a sentence that says what to do about it."""

from collections.abc import Mapping


class MermedError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class ImageError(MermedError):
    """A file cannot be used as an image."""


class EmptyFileError(ImageError):
    """The file holds no bytes."""


class UnsupportedFormatError(ImageError):
    """The file is not of a format that is read here, whatever its name says."""


class DamagedImageError(ImageError):
    """The file starts like an image but cannot be decoded to its end."""


class ImageTooLargeError(ImageError):
    """The file has more bytes, pixels or frames than the limits allow."""


class NoPixelsError(ImageError):
    """A valid file (a DICOM report, say) that carries no picture."""


class SlideLabelError(ImageError):
    """A picture of a slide's label or of its whole glass, on which the patient may be named."""


class FrameError(ImageError):
    """The chosen frame does not exist in the file."""


class DicomReportError(MermedError):
    """DICOM objects are wanted for an image that came in no DICOM file."""


class ManifestError(MermedError):
    """A table of images is not valid; names the row and the column."""

    def __init__(self, problem: str, *, row: int | None = None, column: str | None = None) -> None:
        where = ", ".join(
            part
            for part in (
                f"row {row}" if row is not None else "",
                f"column '{column}'" if column is not None else "",
            )
            if part
        )
        super().__init__(f"{where}: {problem}" if where else problem)
        self.problem = problem
        self.row = row
        self.column = column


class NothingReadableError(ManifestError):
    """Not one image of a table can be read.

    Attributes:
        broken: reasons by the id of an image.
    """

    def __init__(self, broken: Mapping[str, str]) -> None:
        first = next((f" Of the first: {reason}" for reason in broken.values()), "")
        super().__init__(f"Not one image of the manifest could be read.{first}", column="path")
        self.broken = broken


class VectorsError(MermedError):
    """A file of vectors cannot be used, or is not of the images that it comes with."""


class SettingsError(MermedError):
    """An environment variable has a value that cannot be used; names the variable."""


class DownloadError(MermedError):
    """A file cannot be fetched from its server, or is not the one that was published."""


class RefusedDownloadError(DownloadError):
    """A file is not fetched or not kept, whenever it is tried: too large, or not the one that was meant."""


class StudyServerError(MermedError):
    """A DICOMweb server cannot be reached, refuses, has no such study, or sends something else."""


class RecipeError(MermedError):
    """A training recipe has an unknown key or a value out of range."""


class TrainingError(MermedError):
    """A training run cannot start, continue or go on."""


class EvaluationError(MermedError):
    """An encoder, a task or a report cannot be evaluated in the requested way."""


class OccupiedError(MermedError):
    """Something else is in the place of a result and would be lost."""


class ModelError(MermedError):
    """A model folder is missing, incomplete or does not fit."""


class EmbeddingError(MermedError):
    """Embeddings are missing that should have been made."""


class FewShotError(MermedError):
    """A classifier cannot be made of these few images, or its file cannot be used."""


class CollectionError(MermedError):
    """A collection folder is missing, incomplete, damaged or made by another model."""


class NoCollectionError(CollectionError):
    """There is no collection in a folder, whatever else it holds."""


class SearchError(MermedError):
    """A filter names a column that is not there."""


class SearchServerError(SearchError):
    """A search server cannot be reached, refuses, or holds something else than the collection."""
