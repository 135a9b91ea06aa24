"""Studies from the DICOMweb servers that the host names; no other address is ever asked.

QIDO-RS finds a study by its accession number or its patient, WADO-RS retrieves its images. No redirection is
followed and no proxy asked, and what a server sends is bounded in bytes, images and seconds. Neither what
opens a server nor what is asked for is logged or stands in an error.
"""

import base64
import http.client
import io
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

import pydicom

from mermed_core import __version__
from mermed_core.data.multipart import Parts
from mermed_core.errors import SettingsError, StudyServerError
from mermed_core.imaging.archives import ARCHIVE_LIMITS, ArchiveLimits
from mermed_core.settings import Settings

SECONDS = 180.0  # for one study, whatever arrives
_IDLE = 20.0  # seconds without a byte
_CHUNK = 1 << 20
_LIST_BYTES = 4 << 20  # of a list of studies
_MOST_STUDIES = 100
_MOST_BOUNDARY = 200
_UID = re.compile(r"[0-9]+(?:\.[0-9]+){2,}")
_LONGEST = 64
_WILD = re.compile(r"[*?\\\x00-\x1f\x7f]")  # would match more than one, or is in no identifier
_DICOM, _JSON, _PARTS = (
    "application/dicom",
    ("application/dicom+json", "application/json"),
    "multipart/related",
)
_ACCESSION, _PATIENT, _STUDY = "00080050", "00100020", "0020000D"
_DATE, _MODALITIES, _IMAGES = "00080020", "00080061", "00201208"


@dataclass(frozen=True, repr=False)  # no log can hold it
class FoundStudy:
    """A study of a server.

    Attributes:
        study: its StudyInstanceUID.
        series: the SeriesInstanceUID of the one series that is wanted, "" for all of them.
        date: when it was made, as DICOM writes it (YYYYMMDD); "" where unknown.
        modalities: as DICOM abbreviates them, such as CT.
        images: how many it has, None where unknown.
    """

    study: str
    series: str = ""
    date: str = ""
    modalities: tuple[str, ...] = ()
    images: int | None = None


@dataclass(frozen=True)
class DicomwebServer:
    """A server that the host trusts.

    Attributes:
        name: for people.
        root: address of its DICOMweb service; encrypted, unless it is on this machine.
        login: what opens it, USER:PASSWORD or a token; "" for nothing.
        limits: on what one study may bring.
        seconds: that one request may take.
    """

    name: str
    root: str
    login: str = field(default="", repr=False)
    limits: ArchiveLimits = ARCHIVE_LIMITS
    seconds: float = SECONDS

    def find(self, asked: str) -> tuple[FoundStudy, ...]:
        """Returns the studies that a person means, the newest first.

        Args:
            asked: a StudyInstanceUID, with `/` and a SeriesInstanceUID behind it for one series; or an
                accession number, or a patient's identifier. Only the last two are looked up.

        Raises:
            StudyServerError: it is no identifier, the server has no such study, or does not answer.
        """
        asked = asked.strip()
        study, _, series = asked.partition("/")
        if _is_uid(study) and (_is_uid(series) or "/" not in asked):
            return (FoundStudy(study, series),)
        if not asked or len(asked) > _LONGEST or _WILD.search(asked):
            raise StudyServerError(
                "This names no study. Give its StudyInstanceUID, its accession number or the patient's "
                "identifier, without wildcards."
            )
        for keyword, tag in (("AccessionNumber", _ACCESSION), ("PatientID", _PATIENT)):
            listed = self._listed({keyword: asked, "limit": str(_MOST_STUDIES)})
            # A server that does not know a key ignores it and lists everybody's studies.
            found = [each for each in map(_found, listed, [(tag, asked)] * len(listed)) if each is not None]
            if found:
                return tuple(sorted(found, key=lambda each: each.date, reverse=True))
        raise StudyServerError(f"{self.name} has no study of this accession number or patient.")

    def fetch(self, wanted: FoundStudy) -> list[bytes]:
        """Returns the DICOM files of a study, in memory.

        Raises:
            StudyServerError: the server has no such study, does not answer, sends something else, or more
                than the limits allow.
        """
        path = f"/studies/{wanted.study}" + (f"/series/{wanted.series}" if wanted.series else "")
        files, most = list[bytes](), self.limits.max_bytes
        with self._asked(path, f'{_PARTS}; type="{_DICOM}"; transfer-syntax=*') as response:
            kind = response.headers.get_content_type()
            if kind == _DICOM:
                files.append(b"".join(self._chunks(response, most, self._too_much())))
            elif kind == _PARTS and (boundary := _boundary(response)):
                parts = Parts(boundary)
                for chunk in self._chunks(response, most, self._too_much()):
                    files.extend(parts.feed(chunk))
                    if len(files) > self.limits.max_files:
                        raise self._too_much()
                if not parts.complete:
                    raise self._broke_off()
            else:
                raise self._something_else()
        if not files:
            raise self._no_such_study()
        for data in files:
            self._check(data, wanted)
        return files

    def _check(self, data: bytes, wanted: FoundStudy) -> None:
        """Raises StudyServerError for what is no DICOM file, or belongs to another study."""
        try:
            tags: list[str] = ["StudyInstanceUID"]
            header = pydicom.dcmread(
                io.BytesIO(data), force=True, stop_before_pixels=True, specific_tags=tags
            )
            study = str(header["StudyInstanceUID"].value)
        except Exception:  # pydicom raises anything at all on what is no DICOM
            raise self._something_else() from None
        if study.strip() != wanted.study:
            raise StudyServerError(f"{self.name} sent images of another study, which are not shown.")

    def _listed(self, query: Mapping[str, str]) -> list[Any]:
        """Returns the studies that match a query, as the server lists them."""
        with self._asked(f"/studies?{urlencode(query)}", _JSON[0], none=True) as response:
            if response.status == HTTPStatus.NO_CONTENT:
                return []
            if response.headers.get_content_type() not in _JSON:
                raise self._something_else()
            text = b"".join(self._chunks(response, _LIST_BYTES, self._something_else()))
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            raise self._something_else() from None
        return listed if isinstance(listed, list) else []

    @contextmanager
    def _asked(self, path: str, accept: str, *, none: bool = False) -> Iterator[http.client.HTTPResponse]:
        """Yields the server's answer, whose connection is cut when its time is over.

        Args:
            path: below the root.
            accept: what is wanted.
            none: whether the answer may be that there is nothing.
        """
        parts = urlsplit(self.root)
        host = parts.hostname or ""
        if parts.scheme == "https":
            trusted = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, parts.port, timeout=_IDLE, context=trusted)
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=_IDLE)
        headers = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": f"mermed/{__version__}"}
        if self.login:
            headers["Authorization"] = _authorization(self.login)
        late = threading.Event()
        try:
            connection.connect()
            timer = threading.Timer(self.seconds, _cut, (connection.sock, late))
            timer.daemon = True
            timer.start()
            try:
                connection.request("GET", parts.path + path, headers=headers)
                response = connection.getresponse()
                self._check_status(response, none)
                yield response
            finally:
                timer.cancel()
        except (OSError, http.client.HTTPException, StudyServerError) as error:
            if late.is_set():  # a connection that is cut may look like one that ended
                raise self._unreachable(f"it took more than {self.seconds:g} s") from None
            if isinstance(error, StudyServerError):
                raise
            raise self._unreachable(_why(error)) from None
        finally:
            connection.close()

    def _check_status(self, response: http.client.HTTPResponse, none: bool) -> None:
        status = response.status
        if status in (HTTPStatus.OK, *((HTTPStatus.NO_CONTENT,) if none else ())):
            return
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise StudyServerError(
                f"{self.name} refuses this page. Its host has to check what opens the server."
            )
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.NO_CONTENT, HTTPStatus.GONE):
            raise self._no_such_study()
        if status // 100 == 3:
            raise StudyServerError(f"{self.name} leads to another address, which is not followed.")
        raise StudyServerError(
            f"{self.name} answers {status}. Try again later, or tell the host of this page."
        )

    def _chunks(
        self, response: http.client.HTTPResponse, most: int, too_much: StudyServerError
    ) -> Iterator[bytes]:
        """Yields the body of an answer; raises `too_much` as soon as it has more than `most` bytes."""
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self._something_else()
        stated = response.length
        if stated is not None and stated > most:
            raise too_much
        size = 0
        while data := response.read1(_CHUNK):
            size += len(data)
            if size > most:
                raise too_much
            yield data
        if stated is not None and size < stated:
            raise self._broke_off()

    def _unreachable(self, why: str) -> StudyServerError:
        return StudyServerError(
            f"{self.name} cannot be read: {why}. Try again, or tell the host of this page."
        )

    def _broke_off(self) -> StudyServerError:
        return StudyServerError(f"{self.name} broke off before the end. Try again.")

    def _something_else(self) -> StudyServerError:
        return StudyServerError(f"{self.name} sent something else than a study. Tell the host of this page.")

    def _no_such_study(self) -> StudyServerError:
        return StudyServerError(f"{self.name} has no such study, or no images of it.")

    def _too_much(self) -> StudyServerError:
        images, size = self.limits.max_files, self.limits.max_bytes / 2**20
        return StudyServerError(
            f"The study has more than {images} images or {size:.0f} MB. Name one series of it: "
            "StudyInstanceUID/SeriesInstanceUID."
        )


def dicomweb_servers(settings: Settings) -> dict[str, DicomwebServer]:
    """Returns the servers that the settings name, by their names.

    Raises:
        SettingsError: what opens them is not written as it should be; does not repeat it.
    """
    logins: dict[str, str] = {}
    for part in filter(None, settings.dicomweb_token.split(",")):
        name, equals, login = part.partition("=")
        name, login = name.strip(), login.strip()
        if not (equals and login and login.isascii() and login.isprintable()) or name in logins:
            raise _wrong_tokens(settings)
        logins[name] = login
    servers = {name: DicomwebServer(name, root, logins.pop(name, "")) for name, root in settings.dicomweb}
    if logins:
        raise _wrong_tokens(settings)
    return servers


def _wrong_tokens(settings: Settings) -> SettingsError:
    names = ", ".join(name for name, _ in settings.dicomweb) or "none"
    return SettingsError(
        "The environment variable MERMED_DICOMWEB_TOKEN cannot be read; write NAME=TOKEN or "
        f"NAME=USER:PASSWORD, with a comma between two, for servers of MERMED_DICOMWEB ({names})."
    )


def _is_uid(text: str) -> bool:
    return len(text) <= _LONGEST and _UID.fullmatch(text) is not None


def _authorization(login: str) -> str:
    if ":" in login:
        return f"Basic {base64.b64encode(login.encode()).decode()}"
    return f"Bearer {login}"


def _cut(connected: socket.socket | None, late: threading.Event) -> None:
    """Ends a connection, so that whoever waits for its next byte waits no longer."""
    late.set()
    if connected is not None:
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)


def _why(error: Exception) -> str:
    """Says why a connection failed; the error's own words may name what is secret."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    return "no answer in time" if isinstance(error, TimeoutError) else "the connection failed"


def _boundary(response: http.client.HTTPResponse) -> bytes:
    stated = response.headers.get_param("boundary")
    if not isinstance(stated, str) or not 0 < len(stated) <= _MOST_BOUNDARY:
        return b""
    return stated.encode("latin-1", "replace")


def _found(listed: Any, must_be: tuple[str, str]) -> FoundStudy | None:
    """Returns a listed study; None where it does not have the value that was asked for, or no UID."""
    tag, value = must_be
    study = _first(listed, _STUDY)
    if _first(listed, tag) != value or not _is_uid(study):
        return None
    images = _first(listed, _IMAGES)
    return FoundStudy(
        study,
        "",
        date if (date := _first(listed, _DATE)).isdigit() and len(date) == 8 else "",
        tuple(each for each in _values(listed, _MODALITIES) if each.isalnum())[:8],
        int(images) if images.isdigit() else None,
    )


def _first(listed: Any, tag: str) -> str:
    return next(iter(_values(listed, tag)), "")


def _values(listed: Any, tag: str) -> list[str]:
    element = listed.get(tag) if isinstance(listed, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return [str(each).strip() for each in values[:8]] if isinstance(values, list) else []
