"""Stores DICOM files in an Orthanc of its own over DICOMweb, reads them back, and prints what came as JSON.

Orthanc listens on every address and only then refuses strangers, so this runs in a network namespace that
holds nothing but a loopback device: `unshare --net`. Arguments: folder of the files, a folder for Orthanc.
"""

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pydicom
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset

PORT = 8042
_UP = 0x8914, 0x1 | 0x40  # SIOCSIFFLAGS; IFF_UP and IFF_RUNNING
_SECONDS = 60


def raise_loopback() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _UP[0], struct.pack("16sh22x", b"lo", _UP[1]))


def started(folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    plugins = Path(shutil.which("Orthanc") or "").resolve().parents[1] / "share" / "orthanc" / "plugins"
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": PORT,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(plugins)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)


def client() -> DICOMwebClient:
    """Returns a client of the server once that answers."""
    os.environ["NO_PROXY"] = "127.0.0.1"  # no proxy leads into the namespace
    end = time.monotonic() + _SECONDS
    while True:
        try:
            build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{PORT}/system").close()
            return DICOMwebClient(f"http://127.0.0.1:{PORT}/dicom-web")
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def round_trip(web: DICOMwebClient, files: list[Path]) -> dict[str, object]:
    sent = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, files)}
    answer = web.store_instances(list(sent.values()))
    same = {}
    for uid, dataset in sent.items():
        back = web.retrieve_instance(dataset.StudyInstanceUID, dataset.SeriesInstanceUID, uid)
        same[uid] = len(back) == len(dataset) and all(back[each.tag] == each for each in dataset)
    (study,) = {dataset.StudyInstanceUID for dataset in sent.values()}
    found = [Dataset.from_json(item) for item in web.search_for_instances(study)]
    picture = next(dataset for dataset in sent.values() if "PixelData" in dataset)
    shown = web.retrieve_instance_rendered(
        study, picture.SeriesInstanceUID, picture.SOPInstanceUID, media_types=("image/png",)
    )
    return {
        "failed": len(answer.get("FailedSOPSequence", [])),
        "same": list(same.values()),
        "found": sorted(item.SOPInstanceUID for item in found) == sorted(sent),
        "series": len({item.SeriesInstanceUID for item in found}),
        "rendered": shown[:4].hex(),
        "study": [
            str(item.get("PatientName", "")) for item in map(Dataset.from_json, web.search_for_studies())
        ],
    }


if __name__ == "__main__":
    raise_loopback()
    files, own = Path(sys.argv[1]), Path(sys.argv[2])
    server = started(own)
    try:
        print(json.dumps(round_trip(client(), sorted(files.glob("*.dcm")))))
    finally:
        server.terminate()
        server.wait(30)
