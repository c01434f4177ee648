"""The OpenAPI document: all routes are in it; a server that is asked whatever it allows answers as it says, and never fails."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from tests.integration.standing import Standing

from copernicus.server.cli import cli
from copernicus.wire import messages as m
from copernicus.wire.codec import decode
from copernicus.wire.endpoints import BESIDE, ENDPOINTS, Policy
from copernicus.wire.openapi import document

EXAMPLES = 4
PROJECT = "p"
# These end what the other requests need; a user's session may not send the first ones anyway.
LEFT_OUT = {"server/stop", "logout", "user/password", "project/remove", "project/rename", "peers/connect"}


def test_the_command_prints_every_route_with_its_policy() -> None:
    printed = json.loads(CliRunner().invoke(cli, ["openapi"]).stdout)
    assert set(printed["paths"]) == {row.path for row in ENDPOINTS} | {
        row.prefix + "{name}" if row.prefix.endswith("/") else row.prefix for row in BESIDE
    }
    for row in ENDPOINTS:
        assert row.policy.value in printed["paths"][row.path]["post"]["description"]
    login = printed["components"]["schemas"]["LoginRequest"]["properties"]
    assert login["password"] == {"type": "string", "format": "password"}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[requests.Session, str]]:
    """An HTTPS session of a super user, as any program would hold one, and the address of the client port."""
    standing = Standing(tmp_path_factory.mktemp("openapi"))
    try:
        standing.start()
        root = standing.user()
        root.call(m.StartProjectRequest(PROJECT, "start"))
        with requests.Session() as session:
            session.verify = str(standing.folder / "keys" / "ca.pem")
            session.headers["Authorization"] = f"Bearer {root.token}"
            yield session, f"https://localhost:{standing.client_port}"
        assert "fault in" not in standing.log()
    finally:
        standing.close()


@pytest.fixture(scope="module")
def schema() -> Any:
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    return schemathesis.openapi.from_dict(document("test"))


@pytest.mark.parametrize("name", [row.name for row in ENDPOINTS if row.name not in LEFT_OUT])
def test_whatever_the_document_allows_is_answered_as_it_says(
    session: tuple[requests.Session, str], schema: Any, name: str
) -> None:
    endpoint = next(row for row in ENDPOINTS if row.name == name)
    operation = schema[endpoint.path]["POST"]

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        body = case.body
        if isinstance(body, dict):
            body |= {"wait_s": 0.0} if "wait_s" in body else {}
            body |= {"project": PROJECT} if "project" in endpoint.request.__struct_fields__ and name != "info" else {}
        response = case.call(base_url=session[1], session=session[0], verify=session[0].verify, timeout=60)
        case.validate_response(response, checks=[not_a_server_error])
        kind = endpoint.reply if response.status_code == 200 else m.ErrorReply
        assert isinstance(decode(response.content, kind), kind)
        if endpoint.policy in (Policy.WORKER, Policy.BUNDLE, Policy.PEER):
            assert response.status_code in (400, 403, 413)

    ask()
