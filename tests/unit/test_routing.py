"""The routes: complete or no start; what a caller learns of a fault."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from copernicus.errors import BY_CODE, CopernicusError, InternalError
from copernicus.server.access.identity import Identity
from copernicus.server.http.calls import Call, Rooms
from copernicus.server.http.failures import failure, fault
from copernicus.server.http.routing import build_routes
from copernicus.server.storage.memory import MemoryBook
from copernicus.wire.endpoints import ENDPOINTS
from copernicus.wire.messages import Done, ErrorReply, UndoRequest

ROOMS = cast(Rooms, None)


async def nothing(call: Call, request: Any) -> Done:
    return Done()


def test_an_endpoint_without_handler_or_policy_stops_the_start() -> None:
    every = {endpoint.name: nothing for endpoint in ENDPOINTS}
    assert len(build_routes(ROOMS, every)) == len(ENDPOINTS)
    without = {name: handler for name, handler in every.items() if name != "project/get"}
    with pytest.raises(InternalError, match="project/get has no handler"):
        build_routes(ROOMS, without)
    with pytest.raises(InternalError, match="no endpoint for the handlers project/burn"):
        build_routes(ROOMS, every | {"project/burn": nothing})
    open_to_all = msgspec.structs.replace(ENDPOINTS[0], policy=None)
    with pytest.raises(InternalError, match="has no policy"):
        build_routes(ROOMS, every, [open_to_all, *ENDPOINTS[1:]])


def test_a_request_that_comes_again_is_handled_when_the_first_one_is_done() -> None:
    """A handler that looks for a remembered answer, waits, and then decides would decide twice."""

    async def check() -> None:
        done: dict[str, Done] = {}
        begun: list[str] = []

        async def undo(call: Call, request: UndoRequest) -> Done:
            if request.request_id in done:
                return done[request.request_id]
            begun.append(request.request_id)
            await asyncio.sleep(0)
            done[request.request_id] = Done(f"done {len(begun)}")
            return done[request.request_id]

        rooms = cast(Rooms, SimpleNamespace(refusal=lambda: None, store=MemoryBook()))
        routes = build_routes(rooms, {endpoint.name: nothing for endpoint in ENDPOINTS} | {"project/undo": undo})
        route, root = routes["/v1/project/undo"], Identity("user", "user", "root", is_super=True, projects=None)
        call = Call(root, "", False, lambda: True)

        async def ask(request_id: str) -> Any:
            return await route.answer(call, msgspec.json.encode({"project": "p", "seq": None, "request_id": request_id}))

        replies = await asyncio.gather(ask("one"), ask("two"), ask("one"), ask(""), ask("one"))
        assert [reply.note for reply in replies if reply is not replies[3]] == ["done 3", "done 3", "done 3", "done 3"]
        assert sorted(begun) == ["", "one", "two"], "others do not wait for it"
        assert len(route.repeats) == 0

    asyncio.run(check())


@pytest.mark.parametrize("kind", [kind for kind in BY_CODE.values() if kind is not CopernicusError], ids=lambda kind: kind.code)
def test_every_error_travels_under_its_code_and_status(kind: type[CopernicusError]) -> None:
    response = failure(kind("what happened", "what to do"))
    reply = msgspec.json.decode(bytes(cast(bytes, response.body)), type=ErrorReply)
    assert (response.status, reply) == (kind.status, ErrorReply(kind.code, "what happened", "what to do"))


def test_a_fault_is_logged_whole_and_told_without_details(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = fault(KeyError("the secret of /home/somebody"), "POST /v1/project/get")
    assert response.status == 500
    assert b"secret" not in cast(bytes, response.body)
    assert "the secret of /home/somebody" in caplog.text
