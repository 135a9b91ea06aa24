"""The README and the guides: commands exist, links lead somewhere, tables are those of the program."""

import re
import shlex
from pathlib import Path

import pytest

from mermed_core import settings
from mermed_core.cli.program import _parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HISTORY = ROOT / "docs" / "experiments.md"  # commands as they were given then


def commands(page: Path) -> list[str]:
    """Returns the mermed commands of a page's shell blocks, without comments, lines that go on joined."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line.startswith("mermed ")]


@pytest.mark.parametrize(
    "command", sorted({command for page in PAGES if page != HISTORY for command in commands(page)})
)
def test_every_command_can_be_parsed(command):
    arguments = shlex.split(command.replace("$MERMED_DATA", "data"))[1:]
    assert _parser().parse_args(arguments).run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_the_host_guide_shows_every_environment_variable():
    assert settings.markdown_table() in (ROOT / "docs" / "host.md").read_text(encoding="utf-8")
