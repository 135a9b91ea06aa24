"""The files of MedMNIST+: what is known of each set, where its files are published and where they lie."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mermed_core.data.download import Download, fetch_files
from mermed_core.errors import ManifestError

DOI = "10.5281/zenodo.10519652"
SIZES = (28, 64, 128, 224)
# Blood smears and kidney cortex under the fluorescence microscope are not the stained tissue patches that
# "pathology" stands for here; who wants them as such says so.
MODALITY_OF_SET: dict[str, str | None] = {
    "pathmnist": "pathology",
    "chestmnist": "cxr",
    "dermamnist": "dermatology",
    "octmnist": "oct",
    "pneumoniamnist": "cxr",
    "retinamnist": "fundus",
    "breastmnist": "ultrasound",
    "bloodmnist": None,
    "tissuemnist": None,
    "organamnist": "ct",
    "organcmnist": "ct",
    "organsmnist": "ct",
}


def set_name(name: str) -> str:
    """Returns the name of a two-dimensional set as it is written in `MODALITY_OF_SET`.

    Raises:
        ManifestError: not one of the sets.
    """
    if name.lower() not in MODALITY_OF_SET:
        raise ManifestError(
            f"'{name}' is not a two-dimensional MedMNIST set; these are {', '.join(MODALITY_OF_SET)}."
        )
    return name.lower()


def set_modality(name: str, modality: str | None = None) -> str:
    """Returns the modality of a set, or the one that is asked for.

    Raises:
        ManifestError: the set shows none of the seven modalities, and none is asked for.
    """
    modality = modality or MODALITY_OF_SET[name]
    if modality is None:
        raise ManifestError(
            f"{name} shows none of the seven modalities but single cells under a microscope; open it as "
            f"medmnist:{name}?modality=pathology if you want it as such.",
            column="modality",
        )
    return modality


def set_information(name: str) -> dict[str, Any]:
    """Returns what the package medmnist says of a set: labels, task, licence, addresses and checksums."""
    # The package imports torch and makes a folder in the home directory, so not before it is needed.
    from medmnist import INFO

    return INFO[name]


def set_facts(name: str) -> dict[str, Any]:
    """Returns title, licence and home page of a set, and names of labels that are nothing but numbers."""
    information = set_information(name)
    numbers = [label for label in information["label"].values() if label.isdecimal()]  # of RetinaMNIST alone
    return {
        "title": information["python_class"],
        "licence": information["license"],
        "home": f"https://doi.org/{DOI}",
        "names": {number: f"diabetic retinopathy, grade {number} of {numbers[-1]}" for number in numbers},
    }


def fetch_sets(
    names: Sequence[str], *, size: int = 28, root: Path | None = None, url: str | None = None
) -> dict[str, Path]:
    """Fetches the npz files of some sets that are not there yet, each checked against the package's MD5.

    A file that is there is taken as it is.

    Args:
        names: keys of `MODALITY_OF_SET`.
        size: side of the images in pixels: 28, 64, 128 or 224.
        root: the folder of the files; the package's own (~/.medmnist) if None.
        url: address of a folder with the same files; where the package says, Zenodo, if None.

    Returns:
        The path of each set's file.

    Raises:
        ManifestError: there are no images of this size.
        DownloadError: a file cannot be fetched.
    """
    if size not in SIZES:
        raise ManifestError(f"MedMNIST has images of {', '.join(map(str, SIZES))} pixels, not {size}.")
    downloads = {name: _download(name, size, root or _own_root(), url) for name in dict.fromkeys(names)}
    fetch_files(list(downloads.values()))
    return {name: download.file for name, download in downloads.items()}


def _download(name: str, size: int, root: Path, url: str | None) -> Download:
    suffix = "" if size == 28 else f"_{size}"
    information = set_information(name)
    file = root / f"{name}{suffix}.npz"
    place = f"{url.rstrip('/')}/{file.name}" if url else information[f"url{suffix}"]
    return Download(place, file, information[f"MD5{suffix}"])


def _own_root() -> Path:
    from medmnist.info import DEFAULT_ROOT

    return Path(DEFAULT_ROOT or ".")
