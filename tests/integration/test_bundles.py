"""Bundles on a real server: who may make which, what a revocation cuts, and how they renew themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.integration.standing import DEADLINE_S, Standing, offer
from tests.integration.test_server import double, until

from copernicus.client.credentials import find
from copernicus.errors import (
    CertificateRefused,
    CopernicusError,
    NotAllowed,
    NotAuthenticated,
    Refused,
    SettingsError,
    Unavailable,
    UnknownPath,
    UsageError,
)
from copernicus.net.bundle import Bundle, read_bundle, write_bundle
from copernicus.net.caller import Caller
from copernicus.wire import messages as m
from copernicus.worker.connection import ServerConnection

REFUSED = NotAuthenticated, CertificateRefused, Unavailable


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    standing = Standing(tmp_path_factory.mktemp("bundles"))
    try:
        standing.start()
        ann, bob = standing.user("ann"), standing.user("bob")
        for caller, project in ((ann, "anns"), (ann, "other"), (bob, "bobs")):
            caller.call(m.StartProjectRequest(project, project))
        yield standing
    finally:
        standing.close()


def issue(caller: Caller, *arguments: object) -> Bundle:
    reply = caller.call(m.IssueBundleRequest(*arguments))  # type: ignore[arg-type]
    assert "PRIVATE KEY" not in repr(reply)
    return msgspec.json.decode(reply.bundle.reveal(), type=Bundle)


def refused(caller: Caller, request: m.Message) -> bool:
    """Whether a request is refused for who sends it (a cut connection counts, then the next one is asked)."""
    for _ in range(2):
        try:
            caller.call(request)  # type: ignore[call-overload]
        except Unavailable:
            continue
        except (NotAuthenticated, CertificateRefused):
            return True
        return False
    return False


def names(caller: Caller) -> list[str]:
    return [row.name for row in caller.call(m.ProjectsRequest()).projects]


def test_a_bundle_reaches_no_further_than_who_makes_it(standing: Standing) -> None:
    ann, root = standing.user("ann"), standing.user()
    whole, limited = issue(ann, "client"), issue(ann, "client", ["anns"])
    assert names(Caller.of_bundle(whole)) == ["anns", "other"]
    assert names(Caller.of_bundle(limited)) == ["anns"]
    with pytest.raises(NotAllowed, match="admin"):
        issue(ann, "admin")
    with pytest.raises(NotAllowed, match="somebody else"):
        issue(ann, "client", [], 0.0, "root")
    foreign, missing = [], []
    for project, found in (("bobs", foreign), ("none", missing)):
        with pytest.raises(UnknownPath) as raised:
            issue(ann, "worker", [project])
        found.append(str(raised.value).replace(project, ""))
    assert foreign == missing
    with Caller.of_bundle(limited) as caller:
        assert issue(caller, "client").projects == ("anns",)
        with pytest.raises(UnknownPath):
            issue(caller, "client", ["other"])
    short = issue(ann, "client", [], 1.0)
    with Caller.of_bundle(short) as caller:
        with pytest.raises(NotAllowed, match="outlives"):
            issue(caller, "client", [], 2.0)
        child = issue(caller, "worker")
        assert child.expires_at <= short.expires_at + 1
        assert child.renew_at == 0.0, "what has a final end has no child that goes on for ever"
    for days in (-1.0, 1e9):
        with pytest.raises(UsageError):
            issue(root, "worker", [], days)
    with pytest.raises(Refused, match="no super user"):
        issue(root, "admin", [], 0.0, "bob")
    assert names(Caller.of_bundle(issue(root, "client", [], 0.0, "bob"))) == ["bobs"]


def test_a_worker_s_bundle_follows_the_access_of_its_user(standing: Standing) -> None:
    bob = standing.user("bob")
    bob.call(m.StartProjectRequest("lost", "lost"))
    worker = Caller.of_bundle(issue(bob, "worker"))
    admin = standing.caller()
    worker.call(offer("bobs-own"))
    admin.call(m.GrantAccessRequest("lost", "ann"))
    double(admin, "lost", 1)
    double(admin, "anns", 1)
    jobs = worker.call(m.ExchangeRequest("bobs-own", 1, 1, wait_s=DEADLINE_S, request_id="b1")).jobs
    assert [job.project for job in jobs] == ["lost"]
    admin.call(m.RevokeAccessRequest("lost", "bob"))
    double(admin, "lost", 2, name="e")
    until(lambda: admin.call(m.QueueRequest("lost")).jobs)
    worker = worker.again()
    assert worker.call(m.ExchangeRequest("bobs-own", 1, 1, request_id="b2")).jobs == []
    worker.call(m.FarewellRequest("bobs-own"))
    admin.call(m.RemoveProjectRequest("lost", "remove lost"))


def test_everybody_lists_and_revokes_only_own_bundles(standing: Standing) -> None:
    ann, bob, root = standing.user("ann"), standing.user("bob"), standing.user()
    mine = issue(ann, "worker")
    assert {row.acts_for for row in bob.call(m.BundlesRequest()).bundles} <= {"bob"}
    assert mine.serial in {row.serial for row in root.call(m.BundlesRequest()).bundles}
    said = set()
    for serial in (mine.serial, "beef"):
        with pytest.raises(UnknownPath) as raised:
            bob.call(m.RevokeBundleRequest(serial))
        said.add(str(raised.value).replace(serial, ""))
    assert len(said) == 1
    ann.call(m.RevokeBundleRequest(mine.serial))
    ann.call(m.RevokeBundleRequest(mine.serial.upper()))
    (row,) = (row for row in ann.call(m.BundlesRequest()).bundles if row.serial == mine.serial)
    assert row.revoked_at is not None


def test_a_revoked_bundle_is_cut_off_while_it_waits_and_stays_so_after_a_restart(tmp_path: Path) -> None:
    standing = Standing(tmp_path)
    try:
        standing.start()
        admin, bundle = standing.caller(), standing.bundle("worker")
        poller, idle = (Caller.of_bundle(bundle) for _ in range(2))
        poller.call(offer("stolen"))
        idle.call(m.ServerInfoRequest())
        answers: list[object] = []

        def poll() -> None:
            try:
                answers.append(poller.call(m.ExchangeRequest("stolen", 2, 1, wait_s=DEADLINE_S, request_id="p")))
            except CopernicusError as error:
                answers.append(error)

        waiting = threading.Thread(target=poll)
        began_at = time.monotonic()
        waiting.start()
        assert not refused(idle, m.ServerInfoRequest())
        admin.call(m.RevokeBundleRequest(bundle.serial))
        waiting.join(DEADLINE_S)
        assert time.monotonic() - began_at < DEADLINE_S / 2, "it was answered by the revocation, not by the time"
        assert isinstance(answers[0], REFUSED)
        assert refused(idle, m.ServerInfoRequest())
        assert refused(Caller.of_bundle(bundle), m.ServerInfoRequest())
        standing.stop()
        standing.start()
        assert refused(Caller.of_bundle(bundle), m.ServerInfoRequest())
        assert not refused(Caller.of_bundle(standing.bundle("worker")), m.ServerInfoRequest())
    finally:
        standing.close()


# --- renewal


def due(bundle: Bundle) -> Bundle:
    """The bundle as it stands in its file when it is time to renew it."""
    return msgspec.structs.replace(bundle, renew_at=1.0)


def test_a_client_s_bundle_is_renewed_when_it_is_used(standing: Standing, tmp_path: Path) -> None:
    file, old = tmp_path / "client.cnx", due(standing.bundle("client", "ann"))
    write_bundle(file, old)
    with find(file).caller() as caller:
        assert names(caller) == ["anns", "other"]
    fresh = read_bundle(file)
    assert (fresh.serial, fresh.role, fresh.addresses) == (old.serial, old.role, old.addresses)
    assert fresh.key != old.key
    assert fresh.renew_at > time.time()
    assert file.stat().st_mode & 0o777 == 0o600
    with Caller.of_bundle(fresh) as caller:
        standing.user("ann").call(m.RevokeBundleRequest(old.serial))
        assert refused(caller, m.ProjectsRequest()), "a renewed bundle is revoked by the serial that it always had"


def test_a_bundle_with_a_final_end_is_not_renewed(standing: Standing, tmp_path: Path) -> None:
    file, final = tmp_path / "client.cnx", due(issue(standing.user("ann"), "client", [], 1.0))
    write_bundle(file, final)
    with find(file).caller() as caller:
        assert names(caller) == ["anns", "other"], "what cannot be renewed is used as long as it goes"
        with pytest.raises(Refused, match="certain time"):
            caller.call(m.RenewBundleRequest())
    assert read_bundle(file) == final
    with pytest.raises(NotAllowed):
        standing.user("ann").call(m.RenewBundleRequest())


def test_a_worker_renews_its_bundle_while_it_works(standing: Standing, tmp_path: Path) -> None:
    file, old = tmp_path / "worker.cnx", due(standing.bundle("worker"))
    write_bundle(file, old)
    connection, said = ServerConnection(old, file), list[str]()
    before = connection.caller()
    before.call(m.ServerInfoRequest())
    old_way = Caller.of_bundle(old)
    renewing = threading.Thread(target=connection.keep_renewed, args=(said.append,))
    # the last third of its life is what is left from renew_at to the end: as if it were a short one
    connection._bundle = msgspec.structs.replace(old, renew_at=time.time() - 1, expires_at=time.time() + 2)
    write_bundle(file, connection._bundle)
    renewing.start()
    ends_at = time.monotonic() + DEADLINE_S
    while not said:
        assert time.monotonic() < ends_at, "not renewed"
        time.sleep(0.02)
    assert said[0].startswith("The connection bundle was renewed"), said
    assert read_bundle(file).expires_at > time.time() + 86400
    before.call(m.ServerInfoRequest())  # what was open goes on
    connection.caller().call(m.ServerInfoRequest())
    old_way.call(m.ServerInfoRequest())  # its certificate has not ended yet
    connection.close()
    renewing.join(DEADLINE_S)
    assert not renewing.is_alive()


def test_a_broken_answer_leaves_the_old_bundle(standing: Standing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, old = tmp_path / "worker.cnx", due(standing.bundle("worker"))
    write_bundle(file, old)
    connection = ServerConnection(old, file)
    other = standing.bundle("worker")
    monkeypatch.setattr(
        "copernicus.worker.connection.renewed", lambda bundle, caller: msgspec.structs.replace(other, key=old.key)
    )
    assert "not renewed" in connection.renew(time.time())
    connection.caller().call(m.ServerInfoRequest())
    assert read_bundle(file) == old
    (tmp_path / "worker.cnx").chmod(0o644)
    with pytest.raises(SettingsError):
        read_bundle(file)
