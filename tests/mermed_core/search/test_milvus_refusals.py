"""Servers that refuse: whoever asks is told in a sentence what to do, and nobody waits for ever."""

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mermed_core.errors import SearchServerError
from mermed_core.search.milvus_server import MilvusServer

from .conftest import TOKEN

pytest.importorskip("pymilvus")
import grpc
from pymilvus.grpc_gen import milvus_pb2

Refuse = Callable[[str, Mapping[str, str | bytes]], tuple[grpc.StatusCode, str] | None]


class Refusing(grpc.GenericRpcHandler):
    """Answers to a client that connects, unless it is refused; all else is refused."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method, sent = (
            handler_call_details.method.rpartition("/")[2],
            dict(handler_call_details.invocation_metadata),
        )

        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            if refused := self._refuse(method, sent):
                context.abort(*refused)
            return milvus_pb2.ConnectResponse(identifier=1).SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def refusing() -> Iterator[Callable[[Refuse], str]]:
    """Starts servers on this machine alone; returns the address of each."""
    servers = []

    def start(refuse: Refuse) -> str:
        server = grpc.server(ThreadPoolExecutor(2), handlers=[Refusing(refuse)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"http://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


def asked(server: MilvusServer) -> str:
    """Returns what whoever asks a server is told."""
    with pytest.raises(SearchServerError) as refused:
        client: Any = server.connect()
        with server.asked():
            client.has_collection("cases")
    return str(refused.value)


def test_who_brings_no_token_is_asked_for_one_and_a_wrong_one_is_refused(refusing):
    def ask_for_token(_: str, sent: Mapping[str, str | bytes]) -> tuple[grpc.StatusCode, str]:
        said = "auth check failure" if "authorization" in sent else "missing authorization in header"
        return grpc.StatusCode.UNAUTHENTICATED, said

    address = refusing(ask_for_token)
    assert asked(MilvusServer(address)).startswith(
        f"The search server at {address} asks who you are: set MERMED_SEARCH_TOKEN"
    )
    said = asked(MilvusServer(address, token="root:not this"))
    assert "does not accept what MERMED_SEARCH_TOKEN holds" in said
    assert "not this" not in said


def test_who_may_not_do_it_is_told(refusing):
    def forbid(method: str, _: Mapping[str, str | bytes]) -> tuple[grpc.StatusCode, str] | None:
        denied = grpc.StatusCode.PERMISSION_DENIED, "permission deny to reader"
        return None if method == "Connect" else denied

    said = asked(MilvusServer(refusing(forbid), token="reader:pass"))
    assert said.endswith("does not let whom MERMED_SEARCH_TOKEN names do it: permission deny to reader")


def test_a_server_that_does_not_answer_in_time_is_a_sentence(refusing):
    def hang(method: str, _: Mapping[str, str | bytes]) -> tuple[grpc.StatusCode, str] | None:
        return None if method == "Connect" else (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    assert "has not answered in time; try again" in asked(MilvusServer(refusing(hang)))


def test_a_server_that_is_not_there_cannot_be_reached(refusing):
    def down(_: str, __: Mapping[str, str | bytes]) -> tuple[grpc.StatusCode, str]:
        return grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses"

    address = refusing(down)
    assert asked(MilvusServer(address)).startswith(f"The search server at {address} cannot be reached")


def test_an_error_is_its_sentence_alone_and_no_trace_of_the_client(refusing, caplog):
    def refuse(method: str, _: Mapping[str, str | bytes]) -> tuple[grpc.StatusCode, str] | None:
        return None if method == "Connect" else (grpc.StatusCode.INVALID_ARGUMENT, "out of order")

    client = logging.getLogger("pymilvus")  # hands nothing on to the root
    client.addHandler(caplog.handler)
    try:
        assert asked(MilvusServer(refusing(refuse))).endswith("cannot do it: out of order")
    finally:
        client.removeHandler(caplog.handler)
    assert caplog.records == []


@pytest.mark.slow
def test_the_real_server_answers_the_right_token_alone(milvus):
    assert "set MERMED_SEARCH_TOKEN" in asked(MilvusServer(milvus))
    assert "does not accept" in asked(MilvusServer(milvus, token="root:wrong"))
    server = MilvusServer(milvus, token=TOKEN)
    client: Any = server.connect()
    client.create_user("reader", "Pass-word-1")
    reader = MilvusServer(milvus, token="reader:Pass-word-1")
    try:
        with (
            pytest.raises(SearchServerError, match="does not let whom MERMED_SEARCH_TOKEN names"),
            reader.asked(),
        ):
            reader.connect().create_collection("not_theirs", dimension=4)
    finally:
        client.drop_user("reader")
    with server.asked():
        assert not client.has_collection("nothing_of_this_name")
