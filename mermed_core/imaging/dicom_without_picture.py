"""DICOM files that hold no picture: what they hold instead, by the kind of object that they say they are."""

from pydicom.dataset import FileDataset
from pydicom.uid import UID, MediaStorageDirectoryStorage

from mermed_core.errors import NoPixelsError

_DIRECTORY = (
    "This is the index of a DICOM disc (DICOMDIR), which holds no picture itself. Open the whole folder that "
    "it lies in, or a ZIP of it."
)
_DOCUMENT = (
    "This DICOM file holds a document such as a PDF, and no picture. Choose an image of the series, or "
    "export the picture in the document as PNG or JPEG."
)
_REPORT = "This DICOM file holds a structured report, and no picture. Choose an image of the series."
_CONTOURS = (
    "This DICOM file holds the contours of a radiotherapy plan, and no picture. Choose an image of the "
    "series that they were drawn on."
)
_PLAN = (
    "This DICOM file holds a plan or a record of treatment, and no picture. Choose an image of the series."
)
_CURVES = (
    "This DICOM file holds curves such as an ECG, and no picture. Choose an image, or export them as one."
)
_WAY_OF_SHOWING = (
    "This DICOM file says how another image is to be shown, and holds no picture itself. Choose an image of "
    "the series."
)
_OTHER = "This DICOM file holds no picture (it is a report or a plan, say). Choose an image of the series."
# Parts of the names that DICOM PS3.6, annex A, gives to kinds of objects.
_BY_NAME = {
    "Encapsulated": _DOCUMENT,
    " SR ": _REPORT,
    "Key Object Selection": _REPORT,
    "RT Structure Set": _CONTOURS,
    "RT ": _PLAN,
    "Waveform": _CURVES,
    "ECG": _CURVES,
    "Presentation State": _WAY_OF_SHOWING,
    "Color Palette": _WAY_OF_SHOWING,
}


def without_picture(dataset: FileDataset) -> NoPixelsError:
    """Returns the error for a file without a picture; it says what the file holds where that is known.

    Args:
        dataset: of the file, with its group 2 where it has one.
    """
    stated = dataset.file_meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID")
    kind = UID(str(stated or ""))
    if kind == MediaStorageDirectoryStorage:
        return NoPixelsError(_DIRECTORY)
    return NoPixelsError(next((said for part, said in _BY_NAME.items() if part in kind.name), _OTHER))
