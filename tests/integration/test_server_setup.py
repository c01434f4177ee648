"""`cpc-server` on a real disk: what setup makes, what commands refuse, and that a refusal changes nothing."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from copernicus.config.running import FolderLock, holder
from copernicus.errors import CopernicusError, NoSpace, SettingsError
from copernicus.net.bundle import find_bundle, read_bundle
from copernicus.server.cli import cli

PASSWORD = "twelve letters or more"
Server = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CPC_CONF_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def server(home: Path) -> Server:
    def call(*words: str, password: str = PASSWORD) -> Result:
        return CliRunner().invoke(cli, [*words], input=password + "\n")

    return call


@pytest.fixture
def ready(server: Server, home: Path) -> Path:
    """The folder of a server that is set up."""
    result = server("setup", "-stdin", "--client-port", "24801", "--server-port", "24802", "projects")
    assert result.exit_code == 0, result.output
    return home / "_default" / "server"


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below `folder`: path to mode and content (SQLite's own side files left out)."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".sqlite-wal", ".sqlite-shm"))
    return {str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) for path in files}


def refusal(result: Result) -> str:
    """The message of a command that failed as it should: with a message, not with a traceback."""
    assert result.exit_code != 0
    if isinstance(result.exception, CopernicusError):
        return str(result.exception)
    assert isinstance(result.exception, SystemExit), result.exception
    return result.output


def test_setup_makes_private_files_and_the_owners_bundle(ready: Path, home: Path, tmp_path: Path) -> None:
    for path in home.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert not (tmp_path / "projects").exists(), "PROJECT_DIR is made with the first project"
    bundle = find_bundle(environment=dict(os.environ))
    assert (bundle.role, bundle.user, bundle.host, bundle.client_port, bundle.secure_port) == (
        "admin",
        "root",
        "127.0.0.1",
        24801,
        24802,
    )
    assert PASSWORD.encode() not in b"".join(content for _, content in tree(home).values())


def test_setup_again_is_refused_or_moves_the_old_one_aside(ready: Path, home: Path, server: Server) -> None:
    before = tree(home)
    assert "-force" in refusal(server("setup", "-stdin", "elsewhere"))
    assert tree(home) == before
    old = read_bundle(home / "client.cnx")
    assert server("setup", "-stdin", "-force", "elsewhere").exit_code == 0
    assert read_bundle(home / "client.cnx").authority != old.authority
    aside = [path for path in ready.parent.iterdir() if path.name.startswith("server.old-")]
    assert len(aside) == 1


@pytest.mark.parametrize(
    ("words", "password", "said"),
    [
        (("-stdin", "projects"), "too short", "at least 12"),
        (("projects",), PASSWORD, "no terminal"),
        (("-stdin", "file/projects"), PASSWORD, "is not a folder"),
        (("-stdin", "--client-port", "99999", "projects"), PASSWORD, "not in the range"),
        (("-stdin", "--client-port", "5", "--server-port", "5", "projects"), PASSWORD, "both 5"),
        (("-stdin", "-servername", "../up", "projects"), PASSWORD, "cannot be the name"),
    ],
)
def test_a_setup_that_cannot_be_leaves_nothing(
    server: Server, home: Path, tmp_path: Path, words: tuple[str, ...], password: str, said: str
) -> None:
    (tmp_path / "file").write_text("a file")
    assert said in refusal(server("setup", *words, password=password))
    assert not home.exists()


def test_a_setup_that_breaks_off_leaves_nothing(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise NoSpace("The disk is full.")

    monkeypatch.setattr("copernicus.server.cli.setup.SqliteAccessStore", full)
    assert "disk is full" in refusal(server("setup", "-stdin", "projects"))
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_bundle_that_lay_there_before_setup_stays(server: Server, home: Path) -> None:
    assert server("setup", "-stdin", "-servername", "elsewhere", "projects").exit_code == 0
    (home / "elsewhere" / "client.cnx").rename(home / "client.cnx")
    before = (home / "client.cnx").read_bytes()
    assert server("setup", "-stdin", "more").exit_code == 0
    assert (home / "client.cnx").read_bytes() == before
    assert (
        find_bundle().authority
        == read_bundle(home / "_default" / "client.cnx").authority
        != read_bundle(home / "client.cnx").authority
    )


def test_another_servers_bundle_is_never_replaced(ready: Path, home: Path, server: Server) -> None:
    owners = (home / "client.cnx").read_bytes()
    assert server("setup", "-stdin", "-servername", "second", "more").exit_code == 0
    assert (home / "client.cnx").read_bytes() == owners
    second = read_bundle(home / "second" / "client.cnx")
    assert server("-c", "second", "bundle", "-o", "second.cnx").exit_code == 0
    assert read_bundle(Path("second.cnx")).authority == second.authority
    before = Path("second.cnx").read_bytes()
    assert "not a valid bundle of this server" in refusal(server("bundle", "-o", "second.cnx"))
    assert Path("second.cnx").read_bytes() == before


def test_bundles_are_made_with_role_limit_and_life(ready: Path, server: Server) -> None:
    made = server("bundle")
    assert "super-user" in made.output
    assert "--role worker" in made.output
    assert server("bundle", "--role", "worker", "--project", "folding", "--expires", "12h").exit_code == 0
    admin, worker = read_bundle(Path("client.cnx")), read_bundle(Path("worker.cnx"))
    assert (worker.role, worker.projects) == ("worker", ("folding",))
    assert worker.expires_at < admin.expires_at
    assert "length of time" in refusal(server("bundle", "--expires", "soon"))
    assert "no user" in refusal(server("bundle", "--user", "eve"))
    assert oct(Path("worker.cnx").stat().st_mode & 0o777) == "0o600"


def test_settings_are_changed_one_by_one_or_not_at_all(ready: Path, server: Server) -> None:
    assert server("config", "heartbeat_time", "10").exit_code == 0
    assert "10.0" in server("config-values").output
    before = tree(ready)
    for words, said in (
        (("heartbeat_time", "1"), "heartbeat_time"),
        (("hartbeat_time", "5"), "Did you mean"),
        (("server_secure_port", "24801"), "both"),
    ):
        assert said in refusal(server("config", *words))
    assert tree(ready) == before
    (ready / "settings.json").write_text('{"colour": "red"}')
    assert "no setting called colour" in refusal(server("status"))


def test_status_of_a_server_that_does_not_run(ready: Path, server: Server) -> None:
    result = server("status")
    assert result.exit_code == 3
    assert "not running" in result.output
    assert "24801" in result.output
    assert "not running" in refusal(server("stop"))


def test_nothing_set_up(server: Server) -> None:
    for command in ("start", "stop", "status", "bundle", "config-values"):
        assert "cpc-server setup" in refusal(server(command))


def test_start_refuses_what_would_fail_later(ready: Path, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 24801)):
        assert "port 24801" in refusal(server("start"))
    (ready / "keys" / "ca.key").chmod(0o644)
    assert "ca.key" in refusal(server("start"))
    (ready / "keys" / "ca.key").chmod(0o600)
    ready.chmod(0o755)
    assert "chmod go=" in refusal(server("start"))


def test_the_lock_goes_with_its_process_and_is_not_inherited(tmp_path: Path) -> None:
    program = (
        "import os, sys, time; from pathlib import Path; from copernicus.config.running import FolderLock\n"
        f"lock = FolderLock(Path({str(tmp_path)!r}))\n"
        "child = os.fork()\n"
        "if not child: sys.stdin.read(); os._exit(0)\n"  # lives on until its pipe is closed
        "print('locked', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        found = holder(tmp_path)
        assert found is not None
        assert found.pid == process.pid
        assert found.process() is not None
        with pytest.raises(SettingsError, match=f"process {process.pid}"):
            FolderLock(tmp_path)
        process.kill()
        process.wait(20)
        assert found.process() is None
        assert holder(tmp_path) is None
        FolderLock(tmp_path).release()
