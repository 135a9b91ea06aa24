"""The program as a shell sees it: help, exit codes, errors as sentences."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mermed_core import __version__
from mermed_core.cli import main, program
from mermed_core.errors import (
    CollectionError,
    DamagedImageError,
    EvaluationError,
    ManifestError,
    ModelError,
    OccupiedError,
    RecipeError,
    SettingsError,
    TrainingError,
)
from mermed_core.modalities import UnknownModalityError

COMMANDS = [program._name(module) for modules in program._COMMANDS.values() for module in modules]


def shown(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_help_names_every_command_every_exit_code_and_the_docs(capsys):
    text = shown(capsys, "--help")
    assert all(f"\n  {command} " in text for command in COMMANDS)
    for code in (program.DONE, program.FAILED, program.REFUSED, program.INTERRUPTED, program.TERMINATED):
        assert f"\n  {code} " in text
    assert "docs/" in text
    assert "Research use only" in text
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_with_an_example(capsys, command):
    text = shown(capsys, command, "--help")
    assert text.startswith(f"usage: mermed {command}")
    assert f"    mermed {command}" in text or command == "doctor"


def test_the_version_is_the_packages(capsys):
    assert shown(capsys, "--version") == f"mermed {__version__}\n"


def test_help_comes_without_the_heavy_libraries():
    check = (
        "import sys\n"
        "from mermed_core.cli import main\n"
        "try:\n"
        "    main(['evaluate', '--help'])\n"
        "finally:\n"
        "    assert not {'torch', 'pandas', 'gradio', 'sklearn', 'scipy', 'pydantic'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["no-such-command"], ["analyse"], ["analyse", "a", "--no-such-option"]]
)
def test_wrong_usage_is_a_sentence_and_2(error_of, arguments):
    code, sentence = error_of(*arguments)
    assert code == 2
    assert "--help." in sentence


@pytest.fixture
def raising(monkeypatch):
    """Makes `mermed doctor` raise."""

    def make(error: BaseException) -> None:
        def run(*_: object) -> None:
            raise error

        monkeypatch.setattr("mermed_core.cli.doctor.run", run)

    return make


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (DamagedImageError, 2),
        (ManifestError, 2),
        (RecipeError, 2),
        (SettingsError, 2),
        (UnknownModalityError, 2),
        (ModelError, 1),
        (CollectionError, 1),
        (EvaluationError, 1),
        (TrainingError, 1),
        (OccupiedError, 1),
        (OSError, 1),
    ],
)
def test_every_kind_of_error_has_its_exit_code(raising, error_of, kind, code):
    raising(kind("It went wrong."))
    assert error_of("doctor") == (code, "It went wrong.")


def test_what_an_extra_brings_is_named_with_the_command(raising, error_of):
    raising(ModuleNotFoundError("No module named 'accelerate.utils'", name="accelerate.utils"))
    assert error_of("doctor") == (
        1,
        "This needs accelerate, which the extra 'train' brings: "
        "pip install '.[train]' in the project's folder.",
    )


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), ModuleNotFoundError("x", name="torch"), ImportError("x")]
)
def test_a_defect_keeps_its_traceback(raising, error):
    raising(error)
    with pytest.raises(type(error)):
        main(["doctor"])


def test_ctrl_c_is_a_word_and_130(raising, capsys):
    raising(KeyboardInterrupt())
    assert main(["doctor"]) == 130
    assert capsys.readouterr() == ("", "stopped\n")


def test_with_json_wrong_usage_is_an_object_too(capsys):
    assert main(["analyse", "--json"]) == 2
    output = capsys.readouterr()
    assert list(json.loads(output.out)) == ["error"]
    assert output.err == ""


def test_sigterm_unwinds_and_ends_with_143(tmp_path):
    check = (
        "import sys, time\n"
        "from mermed_core.cli import doctor, main\n"
        "from mermed_core.files import write_folder\n"
        "def run(options):\n"
        "    with write_folder(options.model) as staging:\n"
        "        (staging / 'begun').touch()\n"
        "        time.sleep(60)\n"
        "doctor.run = run\n"
        f"sys.exit(main(['doctor', '--model', {str(tmp_path / 'out')!r}]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", check]) as process:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob("*/begun")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 143
    assert list(tmp_path.iterdir()) == []
