"""Fixtures: `cpcc` in this process, against a server that answers as the test says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.answering import AnsweringServer, Cpcc, Said

from copernicus.client.api import Client
from copernicus.client.cli import run
from copernicus.client.cli.context import Context
from copernicus.model import edits as e


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AnsweringServer:
    monkeypatch.setenv("CPC_CONF_HOME", str(tmp_path / "conf"))
    monkeypatch.chdir(tmp_path)
    return AnsweringServer()


@pytest.fixture
def cpcc(answering: AnsweringServer, capfd: pytest.CaptureFixture[str]) -> Cpcc:
    def call(*words: str) -> Said:
        status = run(words, Context(lambda bundle: Client(answering, bundle or "somebody")))
        return Said(status, *capfd.readouterr())

    return call


@pytest.fixture
def first(cpcc: Cpcc, answering: AnsweringServer) -> list[e.Edit]:
    """The edits that project first has seen; it is the current one."""
    assert cpcc("start", "first").status == 0
    return answering.projects["first"]
