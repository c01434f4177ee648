"""The routes: complete or no start; what a caller learns of a fault."""

from __future__ import annotations

import logging
from typing import Any, cast

import msgspec
import pytest

from copernicus.errors import BY_CODE, CopernicusError, InternalError
from copernicus.server.http.calls import Call, Rooms
from copernicus.server.http.failures import failure, fault
from copernicus.server.http.routing import build_routes
from copernicus.wire.endpoints import ENDPOINTS
from copernicus.wire.messages import Done, ErrorReply

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
