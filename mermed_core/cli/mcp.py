"""`mermed mcp`: the model as tools for an agent, by the Model Context Protocol over stdin and stdout."""

import argparse
import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mermed_core.cli.arguments import add_served
from mermed_core.errors import MermedError, SettingsError
from mermed_core.incidents import record_incident

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from mermed_core.inference.agent_tools import AgentTools

SUMMARY = "Offer the model to an agent as tools (MCP)."
DETAILS = """\
    mermed mcp
    mermed mcp --allow my/images --collection collections/mine

An agent's host starts this command and talks to it by standard input and output; nothing listens on a port.
The tools are analyse, similar, explain, compare and collection_stats. An image comes in base64; files of this
machine can be named only in the folders that --allow names. It needs the extra 'mcp'."""

_INSTRUCTIONS = (
    "Research use only; not for diagnosis. status 'abstained' is an answer: say that the model does not "
    "know, and do not guess. A finding with holds_elsewhere false was not shown to hold in other hospitals' "
    "images; never call it likely."
)
_TOLD = {
    "analyse": "What the model sees in one medical image: modality, findings with calibrated probabilities, "
    "similar cases; or that it abstains and why. Give image (the file in base64) or path.",
    "similar": "The known cases most similar to an image or a case_id. good and bad are case ids from an "
    "earlier answer that were or were not what was looked for. status abstained: none is as near as usual.",
    "explain": "Where an image speaks for one label of a label_set that analyse gave: what is to be known of "
    "the heat map, and a picture with the map over it.",
    "compare": "How alike two images are (cosine similarity beside what is usual among known cases). Each is "
    "given as image (base64), path or case_id; the second with other_ before it.",
    "collection_stats": "What the collection of known cases holds: modalities, labels, sources with their "
    "licences; and the label sets of the model.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.set_defaults(log_level=logging.WARNING)
    parser.add_argument(
        "--allow",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a folder whose files may be named by their path; may be repeated; default: none",
    )
    add_served(parser)


def run(options: argparse.Namespace) -> None:
    """Serves until standard input ends.

    Raises:
        SettingsError: an allowed folder does not exist.
        ModelError: there is no usable model.
        CollectionError: the collection that was asked for cannot be loaded.
    """
    import mcp.server.mcpserver  # noqa: F401  # says that the extra is missing before seconds of loading

    from mermed_core.cli.analyse import load_following
    from mermed_core.inference.agent_tools import AgentTools

    for folder in options.allow:
        if not folder.is_dir():
            raise SettingsError(f"--allow names '{folder}', which is no folder.")
    tools = AgentTools(load_following(options.model, options.collection), options.allow)
    make_server(tools).run("stdio")


def make_server(tools: "AgentTools") -> "MCPServer":
    """Returns the server that offers the tools."""
    from mcp.server.mcpserver import Image

    import mermed_core

    server = _server_class()(
        "mermed", instructions=_INSTRUCTIONS, version=mermed_core.__version__, log_level="WARNING"
    )

    def explain(label_set: str, label: str, image: str = "", path: str = "") -> list[Any]:
        said, overlay = tools.explain(label_set, label, image, path)
        return [json.dumps(said), *([Image(data=overlay, format="png")] if overlay else [])]

    offered = {
        "analyse": tools.analyse,
        "similar": tools.similar,
        "explain": explain,
        "compare": tools.compare,
        "collection_stats": tools.collection_stats,
    }
    for name, tool in offered.items():
        server.tool(name, description=_TOLD[name], structured_output=False)(_in_sentences(tool, name))
    return server


def _server_class() -> "type[MCPServer]":
    """Returns a server that calls arguments wrong in a sentence: the library's repeats parts of the image."""
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from pydantic import ValidationError

    class Server(MCPServer):
        async def call_tool(self, name: str, *given: Any, **named: Any) -> Any:
            try:
                return await super().call_tool(name, *given, **named)
            except ToolError as error:
                if not isinstance(error.__cause__, ValidationError):
                    raise
                wrong = [
                    f"{'.'.join(map(str, each['loc']))} ({each['msg'].lower()})"
                    for each in error.__cause__.errors(include_url=False, include_input=False)
                ]
            raise ToolError(f"'{name}' cannot be asked so; wrong or missing: {', '.join(wrong)}.")

    return Server


def _in_sentences(tool: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Returns the tool with errors as sentences: its own, or one with the number that the log has too."""
    from mcp.server.mcpserver.exceptions import ToolError

    @functools.wraps(tool)
    def asked(*given: Any, **named: Any) -> Any:
        try:
            return tool(*given, **named)
        except MermedError as error:
            raise ToolError(str(error)) from None
        except Exception as error:
            number = record_incident(error, name)
            raise ToolError(f"Something unexpected happened. The log has it under number {number}.") from None

    return asked
