"""A real server on both ports: what workers and clients say to it, who may, kill -9, a full disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from tests.integration.standing import DEADLINE_S, Standing, offer

from copernicus.errors import (
    CertificateRefused,
    CopernicusError,
    NotAllowed,
    NotAuthenticated,
    SettingsError,
    TooLarge,
    Unavailable,
    UnknownPath,
    UsageError,
)
from copernicus.model.edits import Activate, ImportModule, MakeInstance, SetValue
from copernicus.model.jobs import LeasedJob, Report
from copernicus.model.values import FileRef
from copernicus.net.caller import Caller
from copernicus.net.silence import IDLE_S
from copernicus.wire import messages as m
from copernicus.wire.endpoints import ENDPOINTS, Endpoint, Policy


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A server that all tests of this file share which do not kill it."""
    standing = Standing(tmp_path_factory.mktemp("standing"), message_limit_bytes=200_000)
    try:
        standing.start()
        yield standing
    finally:
        standing.close()


@pytest.fixture(autouse=True)
def hang_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whoever called the shared server in a test hangs up after it: one caller may have so many connections."""
    yield
    if "running" in request.fixturenames:
        request.getfixturevalue("running").hang_up()


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[Standing]:
    """A server of one's own."""
    standing = Standing(tmp_path)
    try:
        standing.start()
        yield standing
    finally:
        standing.close()


def double(caller: Caller, project: str, value: int, *, name: str = "d") -> None:
    """Have one number doubled by a job."""
    if project not in [row.name for row in caller.call(m.ProjectsRequest()).projects]:
        caller.call(m.StartProjectRequest(project, f"start {project}"))
    edits = [ImportModule("math"), MakeInstance("math::double", name), SetValue(f"{name}:in.integer_inputs", value), Activate()]
    caller.call(m.ApplyRequest(project, edits, f"double {project} {name}"))


def take(worker: Caller, name: str = "w", wait_s: float = 20.0) -> LeasedJob:
    """Announce a worker and wait for one job."""
    worker.call(offer(name))
    (job,) = worker.call(m.ExchangeRequest(name, 2, 1, wait_s=wait_s, request_id=f"take {time.monotonic_ns()}")).jobs
    return job


def finished(job: LeasedJob, value: int) -> Report:
    return Report(job.job, job.attempt, "finished", {"integer_outputs": value}, exit_status=0, wall_s=0.1, version="1.0")


def output(caller: Caller, project: str, name: str = "d") -> Any:
    return caller.call(m.GetRequest(project, f"{name}:out.integer_outputs")).value


def until(condition: Any) -> None:
    ends_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends_at, "waited in vain"
        time.sleep(0.02)


# --- the straight way


def test_an_idle_worker_gets_a_job_when_it_is_made_and_its_result_stands(running: Standing) -> None:
    admin, worker = running.caller(), running.caller("worker")
    taken: list[LeasedJob] = []
    waiting = threading.Thread(target=lambda: taken.append(take(worker, "poller", wait_s=DEADLINE_S)))
    waiting.start()
    until(lambda: any(row.offer.worker == "poller" for row in admin.call(m.WorkersRequest()).workers))
    double(admin, "poll", 21)
    waiting.join(DEADLINE_S / 2)  # well before the poll's own end: it is answered by the job, not by the time
    (job,) = taken
    assert (job.project, job.path, job.attempt, job.description.argv) == ("poll", "d", 1, ("21",))
    assert [row.job for row in admin.call(m.RunningRequest("poll")).jobs] == [job.job]
    reply = worker.call(m.ExchangeRequest("poller", 0, 0, [finished(job, 42)], request_id="done"))
    assert [verdict.verdict for verdict in reply.verdicts] == ["accepted"]
    assert output(admin, "poll") == 42
    worker.call(m.FarewellRequest("poller"))


def test_a_session_sees_what_its_user_may_see(running: Standing) -> None:
    root, guest = running.user(), running.user("guest")
    guest.call(m.StartProjectRequest("guests-own", "g1"))
    root.call(m.StartProjectRequest("roots-own", "r1"))
    assert [row.name for row in guest.call(m.ProjectsRequest()).projects] == ["guests-own"]
    with pytest.raises(UnknownPath, match="no project"):
        guest.call(m.StatusRequest("roots-own"))
    with pytest.raises(UnknownPath):
        guest.call(m.QueueRequest("roots-own"))
    assert {"guests-own", "roots-own"} <= {row.name for row in root.call(m.ProjectsRequest()).projects}
    guest.call(m.LogoutRequest())
    with pytest.raises(NotAuthenticated):
        guest.call(m.ProjectsRequest())


# --- who may what, on every route


def sample(endpoint: Endpoint, project: str) -> m.Message:
    """Some request for an endpoint, about `project` where it names one."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(endpoint.request):
        if field.name in ("project", "name"):
            values[field.name] = project
        elif field.required:
            given = {"offer": offer("sample").offer, "edits": [], "blobs": [], "data": b"-"}
            by_type: dict[Any, Any] = {int: 0, FileRef: FileRef("0" * 64, 0)}
            values[field.name] = given.get(field.name, by_type.get(field.type, endpoint.name))
    for name in ("free_cores", "most_jobs"):
        if name in endpoint.request.__struct_fields__:
            values[name] = 0
    return endpoint.request(**values)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_route_refuses_whom_its_policy_does_not_admit(running: Standing, endpoint: Endpoint) -> None:
    root = running.caller()
    if "locked" not in [row.name for row in root.call(m.ProjectsRequest()).projects]:
        root.call(m.StartProjectRequest("locked", "locked"))

    def outcome(caller: Caller, project: str) -> type[CopernicusError] | None:
        try:
            caller.call(sample(endpoint, project))  # type: ignore[call-overload]
        except CopernicusError as error:
            return type(error)
        return None

    refused = NotAuthenticated, NotAllowed, CertificateRefused
    nobody, stranger, worker = running.nobody(), running.user("stranger"), running.caller("worker")
    scoped = running.caller("worker", projects=("elsewhere",))
    if endpoint.policy is not Policy.ANYONE:
        assert outcome(nobody, "locked") is NotAuthenticated
        bad = running.nobody()
        bad.token = "x" * 43
        assert outcome(bad, "locked") is NotAuthenticated
        revoked = running.bundle("admin")
        running.issuer.revoke(revoked.serial)
        assert outcome(Caller.of_bundle(revoked), "locked") in refused
    match endpoint.policy:
        case Policy.USER:
            assert outcome(worker, "locked") is NotAllowed
        case Policy.MEMBER:
            assert outcome(worker, "locked") is NotAllowed
            assert outcome(stranger, "locked") is UnknownPath
            assert outcome(stranger, "there-is-none") is UnknownPath
        case Policy.WORKER:
            assert outcome(stranger, "locked") is NotAllowed
            assert outcome(running.caller("client"), "locked") is NotAllowed
            assert outcome(scoped, "") not in refused


def test_a_worker_limited_to_a_project_gets_no_job_of_another(running: Standing) -> None:
    admin = running.caller()
    double(admin, "closed", 1)
    elsewhere, inside = running.caller("worker", projects=("other",)), running.caller("worker", projects=("closed",))
    elsewhere.call(offer("elsewhere"))
    assert elsewhere.call(m.ExchangeRequest("elsewhere", 2, 9, request_id="scoped")).jobs == []
    assert take(inside, "inside").project == "closed"
    inside.call(m.FarewellRequest("inside"))
    admin.call(m.RemoveProjectRequest("closed", "remove"))


def test_a_certificate_that_is_not_a_bundle_gets_no_answer_but_a_refusal(running: Standing) -> None:
    bundle = running.bundle()
    posing = msgspec.structs.replace(
        bundle, certificate=running.keys.server_certificate.read_text(), key=running.keys.server_key.read_text()
    )
    with pytest.raises((CertificateRefused, NotAuthenticated)):
        Caller.of_bundle(posing).call(m.ServerInfoRequest())


# --- limits and faults


def test_what_is_too_large_too_deep_or_nonsense_is_refused_clearly(running: Standing) -> None:
    admin = running.caller()
    with pytest.raises(TooLarge, match="200000 bytes"):
        admin.call(m.GetRequest("p", "x" * 300_000))

    def post(body: bytes, path: str = "/v1/project/get") -> int:
        response = admin.exchange("POST", path, body)
        response.read()
        return response.status

    assert post(b"[" * 101 + b"]" * 101) == 413
    assert post(b"{") == 400
    assert post(b"\xff") == 400
    assert post(b'{"project": 3, "path": ""}') == 400
    assert post(b"{}", "/v1/nothing") == 404
    assert post(b"{}", "/") == 404
    with pytest.raises(NotAuthenticated):
        running.nobody().call(m.GetRequest("p", "x" * 300_000))
    assert admin.call(m.ServerInfoRequest()).protocol == 1


def test_another_protocol_version_is_named(running: Standing) -> None:
    caller = running.caller()
    response = caller.exchange("POST", "/v1/server-info", b"{}", {"Copernicus-Protocol": "99"})
    with pytest.raises(UsageError, match="version 99"):
        caller.read(response)


def test_a_second_server_on_the_same_projects_is_refused(running: Standing, tmp_path: Path) -> None:
    running.caller().call(m.StartProjectRequest("first", "first"))
    second = Standing(tmp_path, run_dir=str(running.projects))
    try:
        with pytest.raises(TimeoutError, match="is using"):
            second.start()
    finally:
        second.close()


# --- kill -9


def test_a_job_leased_before_a_kill_is_accepted_after_it_with_the_same_attempt(standing: Standing) -> None:
    admin, worker = standing.caller(), standing.caller("worker")
    double(admin, "p", 4)
    job = take(worker)
    standing.kill()
    standing.start()
    assert worker.call(m.HeartbeatRequest("w", [m.Beat(job.job, job.attempt)])).is_unknown_worker
    reply = worker.call(m.ExchangeRequest("w", 0, 0, [finished(job, 8)], request_id="once"))
    assert ([verdict.verdict for verdict in reply.verdicts], reply.is_unknown_worker) == (["accepted"], True)
    standing.kill()
    standing.start()
    again = worker.call(m.ExchangeRequest("w", 0, 0, [finished(job, 8)], request_id="once"))
    assert [verdict.verdict for verdict in again.verdicts] == ["accepted"], "the same request: the same answer"
    other = worker.call(m.ExchangeRequest("w", 0, 0, [finished(job, 9)], request_id="twice"))
    assert [verdict.verdict for verdict in other.verdicts] == ["stale"]
    assert output(admin, "p") == 8


def test_sigterm_answers_the_polls_and_leaves_one_whole_file(standing: Standing) -> None:
    admin, worker = standing.caller(), standing.caller("worker")
    admin.call(m.StartProjectRequest("p", "s"))
    worker.call(offer())
    answers: list[Any] = []

    def poll() -> None:
        try:
            answers.append(worker.call(m.ExchangeRequest("w", 2, 1, wait_s=DEADLINE_S, request_id="p")))
        except Unavailable as error:
            answers.append(error)

    waiting = threading.Thread(target=poll)
    waiting.start()
    until(lambda: admin.call(m.WorkersRequest()).workers)
    assert standing.process is not None
    children = psutil.Process(standing.process.pid).children(recursive=True)
    assert standing.stop() == 0
    waiting.join(DEADLINE_S)
    assert len(answers) == 1
    assert sorted(path.name for path in standing.projects.glob("book.sqlite*")) == ["book.sqlite"]
    assert psutil.wait_procs(children, timeout=DEADLINE_S)[1] == []


# --- the disk


def test_a_disk_that_refuses_is_said_and_forgotten_when_it_is_freed(standing: Standing) -> None:
    admin = standing.caller()
    double(admin, "p", 1)
    assert standing.process is not None
    server = psutil.Process(standing.process.pid)
    log_bytes = (standing.projects / "book.sqlite-wal").stat().st_size
    server.rlimit(psutil.RLIMIT_FSIZE, (log_bytes, psutil.RLIM_INFINITY))
    big = SetValue("d:in.integer_inputs", 5)
    with pytest.raises(Unavailable):
        admin.call(m.ApplyRequest("p", [big] * 100, "refused"))
    server.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))

    def is_back() -> bool:
        try:
            return admin.call(m.GetRequest("p", "d:in.integer_inputs")).value == 1
        except Unavailable:
            return False

    until(is_back)
    admin.call(m.ApplyRequest("p", [big], "accepted"))
    assert admin.call(m.GetRequest("p", "d:in.integer_inputs")).value == 5
    standing.kill()
    standing.start()
    assert admin.call(m.GetRequest("p", "d:in.integer_inputs")).value == 5


def test_settings_that_others_can_read_stop_the_start(tmp_path: Path) -> None:
    standing = Standing(tmp_path)
    try:
        (standing.folder / "keys" / "ca.key").chmod(0o644)
        with pytest.raises(TimeoutError):
            standing.start()
        assert "can be used by others" in standing.log()
        with pytest.raises(SettingsError):
            standing.keys.check()
    finally:
        standing.close()


def timers_of(ports: set[int]) -> dict[int, tuple[str, float]]:
    """The timers of both ends of a connection of this machine: by local port the kind, and the seconds that are left."""
    found = {}
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, _, timer, *_ = row.split()
        ends = [int(end.split(":")[1], 16) for end in (local, remote)]
        if set(ends) == ports:
            kind, ticks = timer.split(":")
            found[ends[0]] = kind, int(ticks, 16) / os.sysconf("SC_CLK_TCK")
    return found


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="it is read in Linux's table of connections")
def test_both_ends_of_an_idle_connection_ask_whether_the_other_one_is_there(running: Standing) -> None:
    caller = running.caller()
    caller.call(m.ServerInfoRequest())
    sock = caller._connection._http.sock
    ports = {sock.getsockname()[1], sock.getpeername()[1]}
    keeping_alive, ends_at = "02", time.monotonic() + DEADLINE_S
    while True:  # the system's own keepalive, of two hours, comes a moment before ours
        found = timers_of(ports)
        if set(found) == ports and all(kind == keeping_alive and seconds <= IDLE_S for kind, seconds in found.values()):
            return
        assert time.monotonic() < ends_at, found
        time.sleep(0.02)
