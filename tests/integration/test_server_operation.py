"""What the keeper of a server looks at: audit log, metrics, logs for programs, modes of files; and no secret in any of them."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.standing import PASSWORD, Standing
from tests.integration.test_server import double, finished, take

from copernicus.config.places import ServerPlaces
from copernicus.errors import CopernicusError, NotAllowed
from copernicus.model.secret import Secret
from copernicus.server.access.audit import Audit
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode

LINE = re.compile(r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"\})? [0-9.e+-]+')


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    standing = Standing(tmp_path_factory.mktemp("operated"), log_format="json", mode="debug")
    try:
        standing.start()
        yield standing
    finally:
        standing.close()


def metrics(standing: Standing) -> dict[str, float]:
    with standing.user("watcher") as watcher:
        response = watcher.exchange("GET", "/v1/metrics")
        text = response.read().decode()
    assert response.status == 200
    assert all(LINE.fullmatch(line) for line in text.splitlines()), text
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def test_metrics_count_jobs_workers_and_answers_and_name_nothing(standing: Standing) -> None:
    admin, worker = standing.caller(), standing.caller("worker")
    before = metrics(standing)
    double(admin, "a-secret-project", 3)
    job = take(worker, "measured")
    during = metrics(standing)
    assert during['copernicus_jobs{state="leased"}'] == before['copernicus_jobs{state="leased"}'] + 1
    worker.call(m.ExchangeRequest("measured", 0, 0, [finished(job, 6)], request_id="measured"))
    after = metrics(standing)
    assert after['copernicus_jobs{state="done"}'] == before['copernicus_jobs{state="done"}'] + 1
    assert after['copernicus_workers{state="living"}'] == 1
    assert after['copernicus_answers_total{status="200"}'] > before['copernicus_answers_total{status="200"}']
    assert (after["copernicus_usable"], after["copernicus_projects"]) == (1, 1)
    assert not any("secret" in name for name in after)


def test_super_users_read_the_audit_log(standing: Standing) -> None:
    root = standing.user()
    root.call(m.AddUserRequest("audited", Secret(PASSWORD)))
    newest = root.call(m.AuditRequest(1)).entries
    assert [(row.who, row.what, row.about) for row in newest] == [("root", "user added", "audited")]
    assert len(root.call(m.AuditRequest(1 << 40)).entries) > 1
    assert root.call(m.AuditRequest(-5)).entries == newest
    with pytest.raises(NotAllowed):
        standing.user("audited").call(m.AuditRequest())


def test_an_audit_log_cut_by_a_power_failure_is_read_and_gone_on_with(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.log", lambda: 1.5)
    audit.write("ann", "::1", "login", "x" * 10_000)
    audit.close()
    with (tmp_path / "audit.log").open("ab") as file:
        file.write(b'{"at":2.0,"who":"ha')
    again = Audit(tmp_path / "audit.log", lambda: 3.0)
    again.write("bob", "::1", "logout")
    assert [(row.at, row.who) for row in again.last(10)] == [(1.5, "ann"), (3.0, "bob")]
    again.close()


def test_logs_for_programs_are_objects_and_no_secret_is_in_any_file_but_where_it_belongs(standing: Standing) -> None:
    root = standing.user()
    bundle = standing.bundle("client")
    for password in ("looked for everywhere", "looked for as well"):
        with contextlib.suppress(CopernicusError):
            standing.nobody().call(m.LoginRequest("root", Secret(password)))
    root.exchange("POST", "/v1/login", b'{"user": "root", "password": 7}').read()
    root.exchange("POST", "/v1/user/add", b'{"name": "x", "password": "looked for in errors", "is_super": 3}').read()
    rows = [json.loads(line) for line in standing.log().splitlines()]
    assert {"at", "level", "name", "message"} <= set(rows[0])
    key = bundle.key.splitlines()[1].encode()
    secrets = [b"looked for", PASSWORD.encode(), root.token.encode(), key]
    keys = {"ca.key", "server.key"}
    for path in [*standing.folder.rglob("*"), *standing.projects.rglob("*")]:
        if path.is_file() and path.name not in keys:
            found = [secret for secret in secrets if secret in path.read_bytes()]
            assert not found, path


def test_secrets_do_not_show(standing: Standing) -> None:
    request = m.LoginRequest("root", Secret("shown to nobody"))
    for text in (repr(request), str(request.password), f"{request.password}"):
        assert "shown" not in text
    assert decode(encode(request), m.LoginRequest).password.reveal() == "shown to nobody"
    with pytest.raises(CopernicusError) as raised:
        decode(b'{"user": "root", "password": ["shown to nobody"]}', m.LoginRequest)
    assert "shown" not in str(raised.value)


@pytest.mark.parametrize("what", ["folder", "access", "keys", "audit"])
def test_whatever_others_could_read_stops_the_start(tmp_path: Path, what: str) -> None:
    standing = Standing(tmp_path)
    try:
        path: Path = standing.folder if what == "folder" else getattr(ServerPlaces(standing.folder), what)
        if what == "audit":
            path.touch()
        path.chmod(0o750 if path.is_dir() else 0o640)
        with pytest.raises(TimeoutError):
            standing.start()
        assert "can be used by others" in standing.log()
    finally:
        standing.close()
