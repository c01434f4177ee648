"""The keeping of a server, with the real programs: verify, backup, restore, migrate; whatever is damaged is told of."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.refusals import fault

from copernicus.blobs.hashing import hash_bytes
from copernicus.server.cli.upkeep.inspecting import inspect
from copernicus.testing.system import PASSWORD, ProgramFailed, System

OLD = Path(__file__).parent.parent / "fixtures" / "project-folder-0.1"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A server with a project, a file in it, a result, and a backup of all in `backups`; it is stopped."""
    with System(tmp_path_factory.mktemp("keeping")) as system:
        system.setup()
        system.start()
        (system.folder / "conf").write_text("a file that somebody gave\n")
        system.cpcc("start", "first")
        system.cpcc("cd", "first")
        for words in ("import benchmark", "instance benchmark::noop n", "instance benchmark::sleep s"):
            system.cpcc(*words.split())
        system.cpcc("set", "n:in.index", "7")
        system.cpcc("setf", "n:in.files[0]", "conf")
        system.cpcc("set", "s:in.sleep_time", "0")
        system.cpcc("activate")
        worker = system.worker("-n", "1")
        system.until(lambda: system.ask("status")["jobs"] == {"done": 2}, what="both jobs are done")
        worker.terminate()
        running = json.loads(system.cpc_server("verify", "--json").stdout)
        assert (running["findings"], running["projects"], running["jobs"]) == ([], 1, 2)
        system.cpc_server("backup", "backups")
        system.stop()
        yield system


def server_of(system: System) -> Path:
    return system.home / "_default" / "server"


def problems(system: System) -> list[str]:
    """Every finding about the system's own data, in words."""
    return [str(one) for one in inspect(server_of(system), system.projects).findings]


def flip(path: Path, at: int) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.chmod(0o600)
    path.write_bytes(data)


def flip_in_row(system: System, table: str, where: str) -> None:
    """Change one bit in the middle of what a row of the book holds, as it lies in the file."""
    book = system.projects / "book.sqlite"
    connection = sqlite3.connect(book)
    (data,) = connection.execute(f"SELECT data FROM {table} WHERE length(data) < 1500 {where}").fetchone()
    connection.close()
    data = bytes(data)
    place = book.read_bytes().find(data)
    assert place > 0
    flip(book, place + len(data) // 2)


def change(system: System, statement: str) -> None:
    """Change the book by hand."""
    with sqlite3.connect(system.projects / "book.sqlite") as connection:
        connection.execute(statement)
    connection.close()


CONF = hash_bytes(b"a file that somebody gave\n")
DAMAGES = {
    "a bit in the log": (lambda s: flip_in_row(s, "records", "AND seq > 2"), "does not match its checksum"),
    "a bit in a job": (lambda s: flip_in_row(s, "jobs", ""), "does not match its checksum"),
    "a bit in a page": (lambda s: flip(s.projects / "book.sqlite", 4096 + 4), "damaged"),
    "a bit in the header": (lambda s: flip(s.projects / "book.sqlite", 3), "damaged"),
    "a record is gone": (lambda s: change(s, "DELETE FROM records WHERE seq = 3"), "does not follow record 2"),
    "a job is somebody else's": (lambda s: change(s, "UPDATE jobs SET project = 'x' WHERE id = 1"), "not filed where"),
    "a priority": (lambda s: change(s, "INSERT INTO priorities VALUES ('x', 5, x'00')"), "does not match its checksum"),
    "the book ends early": (lambda s: os.truncate(s.projects / "book.sqlite", 5000), "damaged"),
    "the book is empty": (lambda s: os.truncate(s.projects / "book.sqlite", 0), "cannot be used"),
    "a bit in a file": (lambda s: flip(s.projects / "blobs" / CONF[:2] / CONF, 5), "has changed on disk"),
    "a file ends early": (lambda s: os.truncate(s.projects / "blobs" / CONF[:2] / CONF, 5), "has changed on disk"),
    "a file is gone": (lambda s: (s.projects / "blobs" / CONF[:2] / CONF).unlink(), "content of 'conf' is missing"),
    "a stranger's file": (lambda s: (s.projects / "blobs" / CONF[:2] / "x").write_text(""), "Move it away"),
    "a bit in the users": (lambda s: flip(server_of(s) / "access.sqlite", 4096 + 4), "damaged"),
    "no users": (lambda s: (server_of(s) / "access.sqlite").unlink(), "is missing"),
    "a bit in the certificate": (lambda s: flip(server_of(s) / "keys" / "ca.pem", 300), "damaged"),
    "a bit in the key": (lambda s: flip(server_of(s) / "keys" / "ca.key", 100), "damaged"),
    "a key for everybody": (lambda s: (server_of(s) / "keys" / "ca.key").chmod(0o644), "chmod go="),
    "a book for everybody": (lambda s: (s.projects / "book.sqlite").chmod(0o640), "chmod go="),
    "settings that cannot be": (lambda s: (server_of(s) / "settings.json").write_text('{"x": 1}'), "no setting called x"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_is_damaged_is_told_of(kept: System, damage: str, tmp_path: Path) -> None:
    assert problems(kept) == []
    for name, place in (("projects", kept.projects), ("server", server_of(kept))):
        shutil.copytree(place, tmp_path / name)
    action, said = DAMAGES[damage]
    try:
        action(kept)
        found = problems(kept)
    finally:
        for name, place in (("projects", kept.projects), ("server", server_of(kept))):
            shutil.rmtree(place)
            shutil.copytree(tmp_path / name, place)
    assert any(said in one for one in found), found
    assert all("\n" not in one and len(one) > 40 for one in found), "a line each, with what to do"


def test_verify_tells_each_finding_in_a_line(kept: System) -> None:
    blob = kept.projects / "blobs" / CONF[:2] / CONF
    data = blob.read_bytes()
    try:
        flip(blob, 0)
        done = kept.cpc_server("verify", is_checked=False)
        assert (done.returncode, done.stderr) == (1, "")
        first, second = done.stdout.splitlines()
        assert first.startswith("Looked at 1 projects")
        assert second == f"{blob}: The file has changed on disk. Restore a backup, or send the file again."
        refused = kept.cpc_server("backup", "worse", is_checked=False)
        assert refused.returncode == 1
        assert "See: cpc-server verify" in refused.stderr
        assert not any(path.name.startswith("backup") for path in (kept.folder / "worse").iterdir())
        kept.cpc_server("backup", "backups")  # the backup before has it as it was
    finally:
        blob.write_bytes(data)
        blob.chmod(0o400)
    assert "All is well." in kept.cpc_server("verify").stdout
    assert "All is well." in kept.cpc_server("verify", "backups").stdout


def test_backups_share_files_are_private_and_go_when_they_are_old(kept: System) -> None:
    made = [json.loads(kept.cpc_server("backup", "--json", "--keep", "2", "many").stdout) for _ in range(3)]
    assert [one["new_files"] > 0 for one in made] == [True, False, False]
    assert made[0]["files"] == made[2]["files"] > 0
    left = sorted((kept.folder / "many").iterdir())
    assert [str(path) for path in left] == sorted(one["path"] for one in made[1:])
    for path in (*left[0].rglob("*"), *(kept.folder / "backups").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert "All is well." in kept.cpc_server("verify", str(left[0])).stdout
    assert (left[0] / "projects" / "blobs" / CONF[:2] / CONF).stat().st_nlink == 2


@pytest.mark.parametrize("file", ["projects/book.sqlite", f"projects/blobs/{CONF[:2]}/{CONF}", "server/keys/ca.key"])
def test_a_damaged_backup_is_not_restored(kept: System, file: str, tmp_path: Path) -> None:
    (source,) = list((kept.folder / "backups").iterdir())[:1]
    shutil.copytree(source, tmp_path / "backup")
    flip(tmp_path / "backup" / file, 20)
    done = kept.cpc_server("-c", "other", "restore", str(tmp_path / "backup"), str(tmp_path / "new"), is_checked=False)
    assert done.returncode == 1
    assert "Nothing was restored" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]
    assert not (kept.home / "other").exists()


def test_a_server_that_is_lost_with_all_it_had_comes_back(kept: System) -> None:
    for place in (server_of(kept), kept.projects):
        place.rename(place.with_name("aside"))
    try:
        done = json.loads(kept.cpc_server("restore", "--json", "backups", "elsewhere/projects").stdout)
        assert (done["projects"], done["is_server_new"]) == (["first"], True)
        kept.start()
        assert kept.ask("get", "n:in.index") == 7
        kept.cpcc("getf", "-f", "back", "n:in.files[0]")
        assert (kept.folder / "back").read_text() == (kept.folder / "conf").read_text()
        assert kept.ask("status")["jobs"] == {"done": 2}
        refused = kept.cpc_server("restore", "backups", "third", is_checked=False)
        assert "is running" in refused.stderr, refused
        refused = kept.cpc_server("migrate", is_checked=False)
        assert "is using" in refused.stderr, refused
        assert "All is well." in kept.cpc_server("verify").stdout
        kept.stop()
        again = json.loads(kept.cpc_server("restore", "--json", "backups", "third").stdout)
        assert not again["is_server_new"]
        assert abs(again["floor"] - done["floor"]) >= 2**20, "two restorations of one backup give different numbers"
    finally:
        with contextlib.suppress(ProgramFailed):
            kept.stop()
        for place in (server_of(kept), kept.projects):
            shutil.rmtree(place, ignore_errors=True)
            place.with_name("aside").rename(place)


def test_backups_at_intervals(kept: System) -> None:
    words = ["cpc-server", "backup", "--every", "0.001m", "--keep", "3", "--json", "timed"]
    program = shutil.which(words[0], path=kept.environment["PATH"])
    assert program
    process = subprocess.Popen(
        [program, *words[1:]], cwd=kept.folder, env=kept.environment, stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    made = [json.loads(process.stdout.readline())["path"] for _ in range(5)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    left = [str(path) for path in (kept.folder / "timed").iterdir() if path.name.startswith("backup")]
    assert made[0] not in left
    assert len(left) <= 4


def test_a_newer_or_other_server_is_refused(kept: System) -> None:
    kept.cpc_server("-c", "other", "setup", "-stdin", "--client-port", "1", "--server-port", "2", "p2", text=PASSWORD + "\n")
    done = kept.cpc_server("-c", "other", "restore", "backups", "new", is_checked=False)
    assert not fault(done, "is another one than that of the backup"), done
    access = kept.home / "other" / "server" / "access.sqlite"
    with sqlite3.connect(access) as connection:
        connection.execute("INSERT INTO schema_version (version) VALUES (99)")
    connection.close()
    for command in ("migrate", "migrate --dry-run"):
        done = kept.cpc_server("-c", "other", *command.split(), is_checked=False)
        assert not fault(done, "written by a newer Copernicus (schema 99"), done
        assert "Install that version, or restore a backup" in done.stderr
    shutil.rmtree(kept.home / "other")
    assert not (kept.folder / "new").exists()


def test_the_doctor_names_what_is_wrong_around_a_server(kept: System) -> None:
    assert all(row["is_well"] for row in json.loads(kept.cpc_server("doctor", "--json").stdout))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", kept.client_port))
        taken.listen()
        (server_of(kept) / "keys" / "ca.key").chmod(0o644)
        kept.cpc_server("config", "disk_reserve_bytes", str(2**60))
        done = kept.cpc_server("doctor", is_checked=False)
    (server_of(kept) / "keys" / "ca.key").chmod(0o600)
    kept.cpc_server("config", "disk_reserve_bytes", "0")
    assert (done.returncode, done.stderr) == (1, "")
    wrong = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("✗ ")]
    assert wrong == ["own", "disk", "ports"], done.stdout
    assert "chmod go=" in done.stdout
    assert "config client_secure_port PORT" in done.stdout


def test_bad_input(kept: System) -> None:
    (kept.folder / "empty").mkdir()
    for line, said in (
        ("verify nowhere", "There is no backup in nowhere"),
        ("verify a b", "unexpected extra argument"),
        ("-c nope verify", "There is no server set up"),
        ("backup", "Missing argument 'DIR'"),
        ("backup ''", "is empty"),
        ("backup --keep 0 backups", "is not in the range"),
        ("backup --every soon backups", "Write 30m, 6h or 1d"),
        ("backup --every 0h backups", "Write 30m, 6h or 1d"),
        ("backup projects/inside", "lies within"),
        ("backup conf", "Not a directory"),
        ("-c nope backup backups", "There is no server set up"),
        ("restore backups", "Missing argument 'PROJECT_DIR'"),
        ("restore empty new", "There is no backup in"),
        ("restore backups projects", "is not empty"),
        ("restore backups conf", "is not a folder"),
        ("doctor extra", "unexpected extra argument"),
        ("-c nope doctor", "There is no server set up"),
        ("migrate extra", "unexpected extra argument"),
        ("-c nope migrate", "There is no server set up"),
    ):
        done = kept.cpc_server(*shlex.split(line), is_checked=False)
        assert not fault(done, said), (line, done.stdout, done.stderr)
    assert not (kept.folder / "new").exists()
