"""Whom DICOM objects are about: nobody, or the patient and study of a file that is passed again for that.

Reading an image drops its header, so nothing here can come from an upload that was read earlier.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, SecondaryCaptureImageStorage, generate_uid

from mermed_core.errors import UnsupportedFormatError

# Patient IE and Study IE as other objects of the same study must repeat them, and what refers to the image.
_PATIENT = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_OTHERS = ("SpecificCharacterSet", "StudyDescription", "PatientOrientation", "Laterality", "NumberOfFrames")
# What the standard wants even where it is empty (type 2).
_EMPTY = (*(name for name in _PATIENT if name != "IssuerOfPatientID"), *_STUDY)


@dataclass(frozen=True, repr=False)  # no log can hold it
class Subject:
    """Patient and study of the objects that are made.

    Attributes:
        header: patient and study, and in which study the objects are; of a file also which image it is.
        source: the same where it is a file's, None where nobody is named.
    """

    header: Dataset
    source: Dataset | None = None

    @classmethod
    def nobody(cls) -> "Subject":
        """Returns an empty patient in a study of its own."""
        header = Dataset()
        for name in _EMPTY:
            setattr(header, name, "")
        header.SOPClassUID = SecondaryCaptureImageStorage
        for name in _IDENTIFIERS[1:]:
            setattr(header, name, new_uid())
        header.SpecificCharacterSet = "ISO_IR 192"
        return cls(header)

    @classmethod
    def of_file(cls, source: bytes | Path) -> "Subject":
        """Returns the patient and the study that a DICOM file states; nothing else of its header is read.

        Raises:
            UnsupportedFormatError: it is no DICOM file, or does not say which study it belongs to.
        """
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        wanted = [*_PATIENT, *_STUDY, *_IDENTIFIERS, *_OTHERS]
        try:
            read = pydicom.dcmread(opened, specific_tags=wanted, stop_before_pixels=True)
        except InvalidDicomError as error:
            raise UnsupportedFormatError(
                "Only a DICOM file names a patient and a study. Leave out --same-study for other files."
            ) from error
        header = Dataset()
        header.update(read)
        if missing := [name for name in _IDENTIFIERS if not header.get(name)]:
            raise UnsupportedFormatError(
                f"The DICOM file does not say which study it belongs to ({missing[0]} is missing). Leave out "
                "--same-study."
            )
        for name in _EMPTY:
            if name not in header:
                setattr(header, name, "")
        return cls(header, header)


def new_uid() -> UID:
    """Returns a UID that nobody else has and that names no organisation (of a random UUID)."""
    return generate_uid(prefix=None)
