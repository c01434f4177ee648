"""The caller's types: an overload for each row of the endpoint table, and none besides."""

from __future__ import annotations

import typing

from copernicus.net import caller
from copernicus.wire.endpoints import ENDPOINTS


def test_every_endpoint_has_its_overload() -> None:
    found = {}
    for overload in typing.get_overloads(caller.Caller.call):
        hints = typing.get_type_hints(overload, vars(caller))
        found[hints["request"]] = hints["return"]
    assert found == {endpoint.request: endpoint.reply for endpoint in ENDPOINTS}
