"""`cpc-server start`, `stop`, `status`: the server as a process in the background."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import psutil

from copernicus.config import settings as server_settings
from copernicus.config.files import check_private, make_private_folder, read_private
from copernicus.config.places import AUTHORITY_NAME, ServerPlaces
from copernicus.config.running import holder
from copernicus.config.settings import ServerSettings
from copernicus.errors import CopernicusError, Refused, SettingsError, Unavailable, Unreachable
from copernicus.net.first_contact import fetch_authority
from copernicus.net.tls import fingerprint
from copernicus.server.cli import Selected

START_S, STOP_S, STEP_S = 60.0, 60.0, 0.02
TAIL_LINES = 15
REASON = " ERROR copernicus.server: "  # how a line of the log begins that says why a server ends
REASON_JSON = '"level": "ERROR", "name": "copernicus.server", '
NOT_RUNNING = 3  # the exit status of `status`, as system services have it


@click.command()
@click.option("-dev", "--dev", "is_dev", is_flag=True, help="Stay in the foreground and say more; ends with Ctrl-C.")
@click.pass_obj
def start(selected: Selected, is_dev: bool) -> None:
    """Start the server in the background."""
    from copernicus.server.cli.bundle import address_of, move_owners_bundle, tell_moved

    folder = selected.folder
    settings = server_settings.load(folder)
    check_ready(folder, settings)
    tell_moved(move_owners_bundle(folder, address_of(settings, selected.label)))
    command = [sys.executable, "-m", "copernicus.server", "--folder", str(folder)]
    if is_dev:
        os.environ.setdefault("CPC_MODE", "debug")
        os.execv(sys.executable, command)  # noqa: S606 - no shell; the server takes this process over
    log = log_file(folder, settings)
    own = own_fingerprint(folder)
    process = spawn(command, log)
    try:
        wait_until_it_answers(process, folder, settings, own, log)
    except KeyboardInterrupt:
        process.terminate()
        raise
    click.echo(f"The server is running (process {process.pid}).")
    report(settings, own)


@click.command()
@click.pass_obj
def stop(selected: Selected) -> None:
    """Stop the server. Workers keep their jobs and report when it is back."""
    folder = selected.folder
    running = holder(folder)
    process = running.process() if running is not None else None
    if process is None:
        server_settings.read(folder)  # says so when there is no server at all
        raise Refused("The server is not running.")
    try:
        process.send_signal(signal.SIGTERM)
    except psutil.NoSuchProcess:
        pass  # it ended by itself meanwhile
    except psutil.AccessDenied:
        raise Refused(f"The server (process {process.pid}) belongs to another user.") from None
    ends = time.monotonic() + STOP_S
    while is_alive(process):
        if time.monotonic() > ends:
            raise Unavailable(
                f"The server (process {process.pid}) has not stopped within {STOP_S:.0f} s.", "Look into its log, or wait."
            )
        time.sleep(STEP_S)
    click.echo("The server has stopped.")


def is_alive(process: psutil.Process) -> bool:
    """Say whether a process runs. One that has ended may stay in the list until init looks after it, seconds later."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@click.command()
@click.option("--json", "-json", "is_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(selected: Selected, is_json: bool) -> None:
    """Say whether the server is running. Exit status: 0 it is, 3 it is not."""
    folder = selected.folder
    settings = server_settings.load(folder)
    own = own_fingerprint(folder)
    running = holder(folder)
    is_answering = running is not None and answers(settings, own)
    if is_json:
        row: dict[str, Any] = {"is_running": running is not None, "is_answering": is_answering, "fingerprint": own}
        row |= {"pid": running.pid if running else None, "started_at": running.started_at if running else None}
        row |= {"client_port": settings.client_secure_port, "secure_port": settings.server_secure_port}
        click.echo(json.dumps(row))
    elif running is None:
        click.echo("The server is not running.")
    else:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(running.started_at))
        click.echo(f"The server is running (process {running.pid}, since {since}).")
        if not is_answering:
            click.echo("It does not answer (yet).")
    if not is_json:
        report(settings, own)
    sys.exit(0 if running is not None else NOT_RUNNING)


def own_fingerprint(folder: Path) -> str:
    """Return the fingerprint of the server in `folder`; raise `SettingsError`."""
    return fingerprint(read_private(ServerPlaces(folder).keys / AUTHORITY_NAME, "The server's CA certificate").decode())


def report(settings: ServerSettings, own: str) -> None:
    """Print address, ports and fingerprint."""
    where = "all addresses" if settings.listen_host is None else settings.listen_host
    ports = f"{settings.client_secure_port} (clients), {settings.server_secure_port} (workers, bundles)"
    click.echo(f"Listening:   {where}, ports {ports}")
    click.echo(f"Fingerprint: {own}")


def check_ready(folder: Path, settings: ServerSettings) -> None:
    """Raise what would keep the server from running, before it is started."""
    from copernicus.net.keys import KeyFolder
    from copernicus.server.cli.setup import checked_project_dir

    running = holder(folder)
    if running is not None:
        raise Refused(f"The server is running already (process {running.pid}).", "See: cpc-server status")
    check_private(folder, "The server's folder")
    KeyFolder(ServerPlaces(folder).keys).check()
    if not settings.run_dir:
        raise SettingsError("There is no run_dir in the settings.", "Run: cpc-server config run_dir PROJECT_DIR")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(f"The server's folder {folder} is not writable.")
    checked_project_dir(Path(settings.run_dir))
    for name in ("client_secure_port", "server_secure_port"):
        check_port(settings.listen_host or "", getattr(settings, name), name)


def check_port(host: str, port: int, name: str) -> None:
    """Raise `SettingsError` when the server could not listen on `host:port`."""
    hint = f"Stop what uses it, or run: cpc-server config {name} PORT"
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except socket.gaierror:
        raise SettingsError(f"There is no address {host!r}.", "Run: cpc-server config server_host ADDRESS") from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            why = f"This machine has no address {host} (server_host)."
            raise SettingsError(why, "Run: cpc-server config server_host ADDRESS") from None
        raise SettingsError(f"The port {port} ({name}) cannot be used: {error.strerror}.", hint) from None


def log_file(folder: Path, settings: ServerSettings) -> Path:
    """Return the server's text log; its folder is made. Raise `SettingsError`."""
    logs = Path(settings.log_dir) if settings.log_dir else ServerPlaces(folder).logs
    try:
        make_private_folder(logs)
    except OSError as error:
        raise SettingsError(f"The folder of logs {logs} cannot be made: {error.strerror}.") from None
    return logs / "server.log"


def spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start the server in a session of its own, its output appended to `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, cwd="/", start_new_session=True
        )
    finally:
        os.close(descriptor)


def wait_until_it_answers(
    process: subprocess.Popen[bytes], folder: Path, settings: ServerSettings, own: str, log: Path
) -> None:
    """Return when the new process answers as the server of `folder`; raise `Unavailable` with what its log says."""
    began_at = log.stat().st_size
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise ended_at_once(process.returncode, log, began_at)
        running = holder(folder)
        if running is not None and running.pid == process.pid and answers(settings, own):
            return
        time.sleep(STEP_S)
    raise Unavailable(
        f"The server (process {process.pid}) has not answered within {START_S:.0f} s; it goes on starting.",
        said(log, began_at),
    )


def answers(settings: ServerSettings, own: str) -> bool:
    """Return whether a server with the fingerprint `own` answers on the client port."""
    try:
        return fetch_authority(settings.local_host, settings.client_secure_port).fingerprint == own
    except Unreachable:
        return False
    except CopernicusError:
        return False


def ended_at_once(status: int, log: Path, offset: int) -> Unavailable:
    """Return the error for a server that did not come up: what it said itself, else the last lines of its log."""
    reasons = list(filter(None, map(reason_in, new_lines(log, offset))))
    if reasons:
        return Unavailable(f"The server ended at once: {reasons[-1]}")
    return Unavailable(f"The server ended at once (status {status}).", said(log, offset))


def said(log: Path, offset: int) -> str:
    """Return the last lines that came into `log` after `offset`, with their source."""
    lines = new_lines(log, offset)
    return "\n".join([f"Its log ({log}) says:", *lines[-TAIL_LINES:]]) if lines else f"Its log is {log}."


def new_lines(log: Path, offset: int) -> list[str]:
    """Return the lines that came into `log` after `offset`, at most its last 16 KiB."""
    with open(log, "rb") as file:
        file.seek(offset if offset <= os.fstat(file.fileno()).st_size else 0)  # it may have begun anew meanwhile
        return file.read()[-16384:].decode(errors="replace").splitlines()


def reason_in(line: str) -> str:
    """Return why a server ended, if a line of its log (in either format) says so, else ""."""
    if REASON_JSON in line:
        return str(json.loads(line)["message"])
    return line.partition(REASON)[2]
