"""`mermed mcp`, asked by a client in another process as an agent's host asks it."""

import asyncio
import base64
import json
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mermed_core.data.phantoms import FINDINGS, draw_phantom

mcp = pytest.importorskip("mcp")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("allowed") / "fundus.png"
    Image.fromarray(draw_phantom("fundus", FINDINGS["fundus"][0], seed=5, size=64).pixels).save(path)
    return path


def _apart(asked: Coroutine[Any, Any, Any]) -> Any:
    """Runs in a thread of its own: Playwright leaves a loop running in the thread of the tests."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, asked).result()


async def _asked(
    arguments: list[str], calls: list[tuple[str, dict[str, Any]]]
) -> tuple[list[str], list[Any]]:
    server = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "mermed_core", "mcp", *arguments], cwd=ROOT
    )
    async with mcp.Client(server) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        return tools, [await client.call_tool(name, given) for name, given in calls]


def test_a_client_in_another_process_gets_answers(model_folder, collection_folder, picture):
    data = base64.b64encode(picture.read_bytes()).decode()
    served = ["--model", str(model_folder), "--collection", str(collection_folder)]
    calls = [
        ("analyse", {"image": data}),
        ("analyse", {"path": str(picture)}),
        ("similar", {"path": str(picture), "count": 3}),
        ("compare", {"image": data, "other_path": str(picture)}),
        ("collection_stats", {}),
        ("explain", {"label_set": "none", "label": "x", "image": data}),
        ("analyse", {"path": str(ROOT / "README.md")}),
        ("analyse", {"image": base64.b64encode(b"%PDF-1.7").decode()}),
        ("explain", {"image": data, "label": 5}),
    ]
    tools, answers = _apart(_asked([*served, "--allow", str(picture.parent)], calls))
    assert tools == ["analyse", "similar", "explain", "compare", "collection_stats"]
    said = [json.loads(answer.content[0].text) for answer in answers[:6]]
    assert said[0] == said[1]
    assert said[0]["status"] in ("answered", "abstained")
    assert len(said[2]["cases"]) == 3
    assert said[3]["similarity"] == pytest.approx(1, abs=1e-4)
    assert said[4]["cases"] > 0
    assert said[5]["status"] == "abstained"
    assert all("abstained_because" in each for each in said)
    wrong = answers[8].content[0].text
    assert "label_set (field required), label (input should be a valid string)" in wrong
    assert data[:8] not in wrong
    assert data[-8:] not in wrong
    for answer, words in ((answers[6], "may be read"), (answers[7], "PDF"), (answers[8], "cannot be asked")):
        assert answer.is_error
        assert words in answer.content[0].text
        assert "Traceback" not in answer.content[0].text


def test_an_unexpected_error_is_a_number_that_the_log_has(predictor, monkeypatch, caplog):
    from mermed_core.cli.mcp import make_server
    from mermed_core.inference.agent_tools import AgentTools

    monkeypatch.setattr(AgentTools, "collection_stats", lambda self: {}["secret.dcm"])

    async def ask() -> Any:
        async with mcp.Client(make_server(AgentTools(predictor))) as client:
            return await client.call_tool("collection_stats", {})

    answer = _apart(ask())
    assert answer.is_error
    said = answer.content[0].text
    number = said.rstrip(".").rpartition(" ")[2]
    assert f"incident {number}: KeyError" in caplog.text
    assert "secret" not in said


def test_a_folder_that_is_none_is_a_sentence(error_of, tmp_path):
    code, said = error_of("mcp", "--allow", tmp_path / "none")
    assert code == 2
    assert "which is no folder" in said
