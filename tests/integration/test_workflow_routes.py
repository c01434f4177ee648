"""Workflow files at a real server: who may send and see them, sent twice, killed after the answer, files that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.standing import Standing

from copernicus.blobs.hashing import hash_bytes
from copernicus.errors import Refused, TooLarge, UnknownPath, UsageError
from copernicus.model.values import FileRef
from copernicus.net.caller import Caller
from copernicus.wire import messages as m

NET = b"""copernicus: 1
functions:
  twice: {inputs: {a: float, d: "file?"}, outputs: {c: float}, instances: {add: "float::add"},
          connections: {"add:in.a": "self:in.a", "add:in.b": "self:in.a", "self:out.c": "add:out.c"}}
instances:
  one: {function: twice, in: {a: 21}}
"""
WITH_FILE = NET + b"  two: {function: twice, in: {d: conf.gro}}\n"


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[Standing]:
    """A server with the project first."""
    standing = Standing(tmp_path)
    try:
        standing.start()
        standing.caller().call(m.StartProjectRequest("first", "start"))
        yield standing
    finally:
        standing.close()


def names(caller: Caller) -> list[str]:
    return [row.path for row in caller.call(m.ListRequest("first")).instances]


def test_a_file_that_was_acknowledged_stands_after_kill_9_and_counts_once(standing: Standing) -> None:
    request = m.UploadWorkflowRequest("first", "net.yaml", NET, request_id="upload 1")
    reply = standing.caller().call(request)
    standing.kill()
    standing.start()
    root = standing.caller()
    assert root.call(request) == reply, "sent again: the same answer, one effect"
    assert names(root) == ["one"]
    assert root.call(m.InfoRequest("project::twice", "first")).function is not None
    assert b"twice" in root.call(m.ExportWorkflowRequest("first")).text.encode()


def test_nobody_else_sees_a_project_s_functions(standing: Standing) -> None:
    standing.caller().call(m.UploadWorkflowRequest("first", "net.yaml", NET))
    stranger = standing.user("stranger")
    for request in (
        m.InfoRequest("project::twice", "first"), m.InfoRequest("project::twice"), m.ExportWorkflowRequest("first"),
        m.UploadWorkflowRequest("first", "net.yaml", NET), m.UploadWorkflowRequest("", "first", NET),
    ):  # fmt: skip
        with pytest.raises(UnknownPath):
            stranger.call(request)  # type: ignore[call-overload]


def test_files_are_asked_for_and_must_be_there(standing: Standing) -> None:
    root = standing.caller()
    asked = root.call(m.UploadWorkflowRequest("first", "net.yaml", WITH_FILE, request_id="with a file"))
    assert (asked.seq, asked.needs) == (None, ["conf.gro"])
    assert names(root) == [], "nothing was changed"
    missing = {"conf.gro": FileRef(hash_bytes(b"nowhere"), 7, "conf.gro")}
    with pytest.raises(Refused, match=r"net.yaml, line 7, instances.two.in.d: The content of conf.gro is not on the server"):
        root.call(m.UploadWorkflowRequest("first", "net.yaml", WITH_FILE, missing, request_id="with a file"))
    assert names(root) == []
    with pytest.raises(UsageError, match="Nothing was uploaded") as caught:
        root.call(m.UploadWorkflowRequest("first", "net.yaml", WITH_FILE.replace(b"21", b"x"), request_id="wrong"))
    assert "line 6" in caught.value.message, "what is wrong is said before any file is asked for"


def test_a_file_beyond_16_mib_is_refused(standing: Standing) -> None:
    with pytest.raises(TooLarge):
        standing.caller().call(m.UploadWorkflowRequest("first", "net.yaml", b" " * (16 * 1024**2 + 1)))
