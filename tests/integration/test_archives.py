"""Saving and loading over the wire, with a real server: what comes along, who may, cuts, kill -9, memory."""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.standing import DEADLINE_S, Standing, offer
from tests.integration.test_server import double, finished, output, take

from copernicus.blobs.folder import BlobFolder
from copernicus.client.archives import load, save
from copernicus.errors import CopernicusError, NotAllowed, Refused, UnknownPath, Unreachable, UsageError
from copernicus.model.edits import Activate, MakeInstance, RenameInstance, SetFile
from copernicus.model.jobs import Report, StagedFile
from copernicus.model.values import FileRef
from copernicus.net.caller import Caller
from copernicus.wire import messages as m
from copernicus.wire.endpoints import ARCHIVES


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[Standing]:
    """A server of one's own."""
    standing = Standing(tmp_path)
    try:
        standing.start()
        yield standing
    finally:
        standing.close()


def sent(caller: Caller, content: bytes, tmp_path: Path, name: str = "conf.gro") -> FileRef:
    """A file on the server."""
    from copernicus.client.files import upload

    (tmp_path / name).write_bytes(content)
    return upload(caller, tmp_path / name)


def states(caller: Caller, project: str) -> dict[str, str]:
    reply = caller.call(m.ListRequest(project))
    return {row.path: row.state for row in reply.instances}


def test_a_project_in_mid_run_comes_back_beside_the_original_and_goes_on(standing: Standing, tmp_path: Path) -> None:
    caller, worker = standing.caller(), standing.caller("worker")
    double(caller, "first", 21)
    job = take(worker)
    worker.call(m.ExchangeRequest("w", 2, 0, reports=[finished(job, 42)], request_id="done"))
    double(caller, "first", 5, name="e")
    held = sent(worker, b"where it was", tmp_path, "state")
    job = take(worker)
    report = Report(job.job, job.attempt, "interrupted", checkpoint=(StagedFile("state", held),))
    (job,) = worker.call(m.ExchangeRequest("w", 2, 1, reports=[report], request_id="interrupted")).jobs
    assert job.attempt == 2
    assert save(caller, "first", tmp_path / "first.tar.gz") > 0

    with pytest.raises(Refused, match="already a project 'first'"):
        load(caller, tmp_path / "first.tar.gz", "first")
    reply = load(caller, tmp_path / "first.tar.gz", "second")
    assert (reply.instances, reply.jobs, reply.missing, reply.gone) == (2, 2, [], 0)
    assert reply.origin.startswith("root@")
    assert states(caller, "second") == {"d": "held", "e": "held"}
    assert output(caller, "second") == 42
    # The original went on undisturbed.
    worker.call(m.ExchangeRequest("w", 2, 0, reports=[finished(job, 10)], request_id="e done"))
    assert output(caller, "first", "e") == 10
    assert output(caller, "second", "e") is None
    # The copy makes nothing twice, and goes on from the checkpoint with the next attempt.
    caller.call(m.ApplyRequest("second", [Activate()], "go"))
    again = take(worker)
    assert (again.project, again.path, again.attempt) == ("second", "e", 3)
    assert again.checkpoint == (StagedFile("state", held),)
    worker.call(m.ExchangeRequest("w", 2, 0, reports=[finished(again, 10)], request_id="e done too"))
    assert output(caller, "second", "e") == 10
    assert caller.call(m.StatusRequest("second")).jobs == {"done": 2}
    # What the log names by old numbers is shown by new ones.
    titles = [entry.title for entry in caller.call(m.LogRequest("second", "d")).entries]
    number = caller.call(m.ListRequest("second", "d")).instances[0].job
    assert number not in (1, 2, None)
    assert any(f"job {number}," in title for title in titles), titles
    assert {title.partition(" by ")[2] for title in titles if " by root@" in title} == {reply.origin}, titles
    # Ended jobs are listed by the name that their instance has now.
    caller.call(m.ApplyRequest("second", [RenameInstance("d", "dd")], "rename"))
    assert [row.path for row in caller.call(m.JobsRequest("second", "dd")).jobs] == ["dd"]
    standing.kill()
    standing.start()
    assert output(standing.caller(), "second", "e") == 10
    assert caller.call(m.StatusRequest("second")).jobs == {"done": 2}


def test_who_may_save_and_load(standing: Standing, tmp_path: Path) -> None:
    root, ann, eve = standing.user(), standing.user("ann"), standing.user("eve")
    ann.call(m.StartProjectRequest("mine", "s"))
    save(ann, "mine", tmp_path / "mine.tar.gz")
    for caller in (eve, standing.caller("client", "eve")):
        with pytest.raises(UnknownPath, match="There is no project 'mine'"):
            save(caller, "mine", tmp_path / "stolen.tar.gz")
        with pytest.raises(UnknownPath, match="There is no project 'none'"):
            save(caller, "none", tmp_path / "stolen.tar.gz")
    with pytest.raises(NotAllowed, match="workers only"):
        save(standing.caller("worker"), "mine", tmp_path / "stolen.tar.gz")
    with pytest.raises(UsageError):
        save(root, "../../etc", tmp_path / "stolen.tar.gz")
    assert not list(tmp_path.glob("*stolen*"))
    assert load(eve, tmp_path / "mine.tar.gz", "hers").project == "hers"
    assert [row.name for row in eve.call(m.ProjectsRequest()).projects] == ["hers"]
    with pytest.raises(UnknownPath):
        ann.call(m.StatusRequest("hers"))
    with pytest.raises(NotAllowed, match="This bundle is for"):
        load(standing.caller("client", "eve", ("other",)), tmp_path / "mine.tar.gz", "third")
    with pytest.raises(UsageError, match="cannot be a project's name"):
        load(eve, tmp_path / "mine.tar.gz", "../x")


def test_what_is_no_archive_leaves_nothing(standing: Standing, tmp_path: Path) -> None:
    caller = standing.caller()
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(b"nothing" * 1000))
    with pytest.raises(Refused, match="not a whole archive"):
        load(caller, tmp_path / "x.tar.gz", "x")
    assert caller.call(m.ProjectsRequest()).projects == []
    request = m.LoadRequest("x", FileRef("0" * 64, 5), "r")
    with pytest.raises(Refused, match="not on the server"):
        caller.call(request)


def test_the_same_load_twice_is_one_project(standing: Standing, tmp_path: Path) -> None:
    caller = standing.caller()
    caller.call(m.StartProjectRequest("a", "s"))
    save(caller, "a", tmp_path / "a.tar.gz")
    archive = sent(caller, (tmp_path / "a.tar.gz").read_bytes(), tmp_path, "b.tar.gz")
    replies: list[m.LoadReply] = []
    bundle = standing.bundle()  # one identity, several connections

    def ask() -> None:
        with Caller.of_bundle(bundle) as one:
            replies.append(one.call(m.LoadRequest("b", archive, "same")))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(DEADLINE_S)
    ask()
    assert len(replies) == 4
    assert all(reply == replies[0] for reply in replies)
    assert [row.name for row in caller.call(m.ProjectsRequest()).projects] == ["a", "b"]


def large(standing: Standing, tmp_path: Path, megabytes: int) -> FileRef:
    """A project `big` with one large input that does not shrink."""
    caller = standing.caller()
    with (tmp_path / "large").open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1024 * 1024))
    from copernicus.client.files import upload

    held = upload(caller, tmp_path / "large")
    caller.call(m.StartProjectRequest("big", "s"))
    caller.call(m.ApplyRequest("big", [MakeInstance("gromacs::grompp", "g"), SetFile("g:in.conf", held)], "a"))
    return held


def test_a_cut_leaves_no_file_that_looks_whole(standing: Standing, tmp_path: Path) -> None:
    large(standing, tmp_path, 24)
    caller = standing.caller()
    with pytest.raises(Unreachable):
        save(caller, "big", tmp_path / "big.tar.gz", told=lambda count: standing.kill() if standing.process else None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large", "projects", "server"]


def test_a_file_that_has_changed_on_the_servers_disk_is_never_saved(standing: Standing, tmp_path: Path) -> None:
    held = large(standing, tmp_path, 8)
    path = BlobFolder(standing.projects / "blobs").path(held.blob)
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"\xff\x00")
    with pytest.raises(Unreachable):
        save(standing.caller(), "big", tmp_path / "big.tar.gz")
    assert not (tmp_path / "big.tar.gz").exists()
    assert held.blob in standing.log()


def test_memory_stays_flat(standing: Standing, tmp_path: Path) -> None:
    large(standing, tmp_path, 300)
    caller = standing.caller()
    assert standing.process is not None
    process, most = psutil.Process(standing.process.pid), [0]
    before = process.memory_info().rss

    def look(count: int = 0) -> None:
        most[0] = max(most[0], process.memory_info().rss)

    save(caller, "big", tmp_path / "big.tar.gz", told=look)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        load(caller, tmp_path / "big.tar.gz", "again")
    finally:
        done.set()
        watcher.join()
    assert most[0] - before < 100 * 1024**2, "a project of 300 MB went through the server's memory"


def test_killed_in_the_middle_of_loading_nothing_is_there(standing: Standing, tmp_path: Path) -> None:
    large(standing, tmp_path, 60)
    caller = standing.caller()
    save(caller, "big", tmp_path / "big.tar.gz")
    archive = sent(caller, (tmp_path / "big.tar.gz").read_bytes(), tmp_path, "copy.tar.gz")
    blobs = BlobFolder(standing.projects / "blobs")
    incoming = standing.projects / "blobs" / "incoming"

    def ask() -> None:
        with contextlib.suppress(CopernicusError):
            standing.caller().call(m.LoadRequest("again", archive, "r"))

    thread = threading.Thread(target=ask)
    thread.start()
    ends_at = time.monotonic() + DEADLINE_S
    while not any(incoming.glob("tmp-*")) and time.monotonic() < ends_at and thread.is_alive():
        pass
    standing.kill()
    thread.join(DEADLINE_S)
    standing.start()
    names = [row.name for row in standing.caller().call(m.ProjectsRequest()).projects]
    assert names in (["big"], ["again", "big"])
    if "again" not in names:
        assert load(standing.caller(), tmp_path / "big.tar.gz", "again").instances == 1
    for blob in blobs.blobs():
        blobs.verify(blob)


def test_the_route_is_for_members_of_the_very_project(standing: Standing) -> None:
    nobody = standing.nobody()
    response = nobody.exchange("GET", f"{ARCHIVES}first")
    assert response.status == 401
    response.read()
    worker = standing.caller("worker")
    worker.call(offer())
    response = worker.exchange("GET", f"{ARCHIVES}first")
    assert response.status == 403
    response.read()
