"""Says what MerMED-FM sees in a medical image. Research use only; not for diagnosis.

    python -m mermed_core analyse scan.dcm          # --json prints one JSON object, also for an error
    python -m mermed_core doctor

Exit codes: 0 done, 1 something is missing or wrong, 2 the file was refused, 130 stopped by Ctrl-C.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

from mermed_core.errors import ImageError, MermedError
from mermed_core.records import Analysis

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_MODEL = REPOSITORY / "assets" / "model"
DEFAULT_COLLECTION = REPOSITORY / "assets" / "collection"
_ANALYSE = "Say everything that the model sees in one image."
_DOCTOR = "Say what is installed, loaded and missing, and how to get it."
_COLLECTION = "the bundled one where it exists, else none"
REFUSED = 2
INTERRUPTED = 130
_AS_WRITTEN = argparse.RawDescriptionHelpFormatter


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code that the module's docstring states."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(message)s", stream=sys.stderr
    )
    try:
        return _analyse(options) if options.command == "analyse" else _doctor(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mermed_core", description=__doc__, formatter_class=_AS_WRITTEN
    )
    parser.add_argument("--verbose", action="store_true", help="log which device and files are used")
    commands = parser.add_subparsers(dest="command", required=True)
    analyse = commands.add_parser("analyse", help=_ANALYSE, description=_ANALYSE)
    analyse.add_argument("file", type=Path, help="PNG, JPEG, TIFF, WebP, BMP or DICOM")
    analyse.add_argument("--frame", type=int, default=1, help="frame of a multi-frame file, from 1")
    analyse.add_argument("--modality", help="name of the modality; default: detected")
    analyse.add_argument("--neighbours", type=int, default=8, help="how many similar cases")
    analyse.add_argument("--json", action="store_true", help="print one JSON object")
    doctor = commands.add_parser("doctor", help=_DOCTOR, description=_DOCTOR)
    for command in (analyse, doctor):
        command.add_argument(
            "--model", type=Path, default=DEFAULT_MODEL, help="model folder; default: the bundled one"
        )
        command.add_argument("--collection", type=Path, help=f"collection folder; default: {_COLLECTION}")
    return parser


def _analyse(options: argparse.Namespace) -> int:
    from mermed_core.inference.predictor import Predictor  # torch takes seconds to import; --help should not

    try:
        bundled = DEFAULT_COLLECTION if DEFAULT_COLLECTION.is_dir() else None
        predictor = Predictor.load(options.model, options.collection or bundled)
        image = predictor.read(options.file, options.frame - 1)
        analysis = predictor.analyse(image, modality=options.modality, neighbours=options.neighbours)
    except MermedError as error:
        print(json.dumps({"error": str(error)}) if options.json else f"error: {error}")
        return REFUSED if isinstance(error, ImageError) else 1
    if options.json:
        print(json.dumps(analysis.to_dict()))
    else:
        print("\n".join([*image.notes, *_lines(analysis)]))
    return 0


def _lines(analysis: Analysis) -> list[str]:
    key, share = next(iter(analysis.modality.items()))
    lines = [
        f"modality    {key} ({share:.1%})",
        f"known       {'yes' if analysis.known else 'NO'}: {analysis.gate}",
    ]
    lines += [
        f"finding     {finding.task}: {finding.label} {finding.probability:.1%}"
        for finding in analysis.findings
    ]
    lines += [
        f"similar     {hit.similarity:.3f} {hit.case.case_id} ({hit.case.modality}: {hit.case.label})"
        for hit in analysis.neighbours
    ]
    if analysis.point:
        lines.append(f"map         {analysis.point.x:.2f}, {analysis.point.y:.2f}")
    return [*lines, f"model       {analysis.model}", "Research use only; not for diagnosis."]


def _doctor(options: argparse.Namespace) -> int:
    from mermed_core.cli.doctor import examine

    report, healthy = examine(options.model, options.collection or DEFAULT_COLLECTION)
    print(report)
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
