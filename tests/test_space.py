"""What Hugging Face Spaces reads: the front matter of the README and the pins."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def front_matter() -> dict[str, str]:
    head = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    return dict(re.findall(r"^(\w+): *(.+)$", head, re.MULTILINE))


def test_the_front_matter_is_complete_and_within_its_limits(front_matter):
    assert front_matter["sdk"] == "gradio"
    assert (ROOT / front_matter["app_file"]).is_file()
    assert len(front_matter["short_description"]) <= 60
    assert {"title", "license", "python_version", "colorFrom", "colorTo"} <= front_matter.keys()


def test_the_space_and_the_requirements_name_one_gradio(front_matter):
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert f"gradio=={front_matter['sdk_version']}" in pins.splitlines()
