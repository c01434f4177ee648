"""`cpcc upload` and `export`: which bytes and files are sent, what is kept from a curious server, what is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.answering import AnsweringServer, Cpcc

from copernicus.blobs.hashing import hash_bytes
from copernicus.errors import UsageError
from copernicus.model import edits as e
from copernicus.model.values import FileRef
from copernicus.wire import messages as m

MADE = {"functions": 0, "instances": 2, "values": 1, "connections": 0}


@pytest.fixture
def curious(answering: AnsweringServer, first: list[e.Edit], monkeypatch: pytest.MonkeyPatch) -> AnsweringServer:
    """A server that needs data/conf.gro; what is sent to it lies in `blobs`."""

    def answer(request: m.UploadWorkflowRequest) -> m.UploadWorkflowReply:
        if not request.files:
            return m.UploadWorkflowReply(None, MADE, ["data/conf.gro"])
        return m.UploadWorkflowReply(7, MADE, edits=[e.MakeInstance("f::g", "a")] if request.is_check else [])

    def upload(caller: AnsweringServer, file: FileRef, path: Path, progress: object) -> None:
        assert caller.put(path.read_bytes()) == file.blob

    answering.answers[m.UploadWorkflowRequest] = answer
    monkeypatch.setattr("copernicus.net.transfer.upload", upload)
    return answering


def a_file(text: str = "in: {conf: data/conf.gro}") -> None:
    Path("flow/data").mkdir(parents=True)
    Path("flow/net.yaml").write_text(text)
    Path("flow/data/conf.gro").write_bytes(b"water")


def test_files_go_after_the_rest_was_found_in_order(cpcc: Cpcc, curious: AnsweringServer) -> None:
    a_file()
    assert cpcc("upload", "flow/net.yaml").out == "Uploaded net.yaml: 2 instances, 1 value. Let it run with: cpcc activate\n"
    once, again = curious.of(m.UploadWorkflowRequest)
    assert (once.project, once.name, once.data, once.files) == ("first", "net.yaml", b"in: {conf: data/conf.gro}", {})
    assert again.files == {"data/conf.gro": FileRef(hash_bytes(b"water"), 5, "conf.gro")}
    assert once.request_id == again.request_id != ""
    assert list(curious.blobs.values()) == [b"water"]


def test_a_server_gets_no_file_that_the_workflow_does_not_name(cpcc: Cpcc, curious: AnsweringServer) -> None:
    a_file("in: {conf: data/other.gro}")
    said = cpcc("upload", "flow/net.yaml")
    assert said.status == 1
    assert "which net.yaml does not name" in said.err
    assert curious.blobs == {}


def test_a_server_that_never_has_enough_is_not_served_for_ever(cpcc: Cpcc, curious: AnsweringServer) -> None:
    a_file()
    curious.answers[m.UploadWorkflowRequest] = m.UploadWorkflowReply(None, MADE, ["data/conf.gro"])
    assert cpcc("upload", "flow/net.yaml").status == 1
    assert len(curious.of(m.UploadWorkflowRequest)) == 2


def test_in_a_transaction_the_edits_of_a_file_are_staged(cpcc: Cpcc, curious: AnsweringServer, first: list[e.Edit]) -> None:
    a_file()
    cpcc("transact")
    cpcc("instance", "f::g", "b")
    assert cpcc("upload", "flow/net.yaml").out == "Staged (2): upload net.yaml, 2 instances, 1 value\n"
    assert all(one.is_check and one.staged == [e.MakeInstance("f::g", "b")] for one in curious.of(m.UploadWorkflowRequest))
    assert first == []
    cpcc("commit")
    assert first == [e.MakeInstance("f::g", "b"), e.MakeInstance("f::g", "a")]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "Missing argument 'FILE'"),
        (("nowhere.yaml",), "nowhere.yaml cannot be read"),
        (("flow",), "flow cannot be read"),
        (("big.yaml",), "larger than 16 MiB"),
        (("",), "empty"),
        (("flow/net.yaml", "more"), "unexpected extra argument"),
    ],
)
def test_upload_says_what_is_wrong_with_its_input(
    cpcc: Cpcc, curious: AnsweringServer, words: tuple[str, ...], why: str
) -> None:
    a_file()
    Path("big.yaml").write_bytes(b" " * (16 * 1024**2 + 1))
    said = cpcc("upload", *words)
    assert said.status != 0
    assert why in said.err
    assert curious.of(m.UploadWorkflowRequest) == []


def test_what_the_server_refuses_is_told(cpcc: Cpcc, curious: AnsweringServer) -> None:
    a_file()
    curious.answers[m.UploadWorkflowRequest] = UsageError("net.yaml, line 3: no.", "Nothing was uploaded.")
    assert cpcc("upload", "flow/net.yaml").err == "ERROR: net.yaml, line 3: no. Nothing was uploaded.\n"


def test_export_writes_the_file_and_says_what_is_not_in_it(cpcc: Cpcc, answering: AnsweringServer, first: list[e.Edit]) -> None:
    answering.answers[m.ExportWorkflowRequest] = m.ExportWorkflowReply("copernicus: 1\n", ["a:in.x: msm:build_0:out.y"])
    said = cpcc("export")
    assert said.out == "copernicus: 1\n"
    assert "a:in.x: msm:build_0:out.y" in said.err
    assert cpcc("export", "-o", "net.yaml").out == "Wrote net.yaml.\n"
    assert Path("net.yaml").read_text() == "copernicus: 1\n"
    assert json.loads(cpcc("export", "--json").out)["text"] == "copernicus: 1\n"
    assert "cannot be written" in cpcc("export", "-o", "nowhere/net.yaml").err
