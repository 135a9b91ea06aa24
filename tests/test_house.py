"""Holds the house together: how long a file or function may be.

Who may import whom stands in pyproject.toml and is held by import-linter.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    [
        ROOT / "app.py",
        *(path for name in ("app", "mermed_core", "train") for path in (ROOT / name).rglob("*.py")),
    ]
)
MAX_FILE = 400
P90_FUNCTION = 40
MAX_FUNCTION = 80


def test_files_and_functions_stay_short():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > MAX_FILE} == {}
    functions = sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert functions[int(0.9 * len(functions))] <= P90_FUNCTION
    assert functions[-1] <= MAX_FUNCTION
