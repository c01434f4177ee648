"""`cpc-server setup`: settings, keys, the owner's account and bundle, wholly or not at all."""

from __future__ import annotations

import datetime
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from copernicus.config import settings as server_settings
from copernicus.config.files import make_private_folder, sync_folder
from copernicus.config.places import BUNDLE_NAME, DEFAULT_NAME, ServerPlaces, host_name, server_folder, settings_home
from copernicus.config.running import holder
from copernicus.config.settings import ServerSettings
from copernicus.errors import CopernicusError, Refused, SettingsError, UsageError
from copernicus.net.bundle import Bundle, read_bundle, write_bundle
from copernicus.net.keys import KeyFolder
from copernicus.net.tls import fingerprint
from copernicus.program import File, Word
from copernicus.server.access.bundles import Bundles
from copernicus.server.access.passwords import check_new_password
from copernicus.server.access.users import OWNER, Users
from copernicus.server.cli import Selected
from copernicus.server.cli.bundle import address_of
from copernicus.server.storage.sqlite.access import SqliteAccessStore
from copernicus.terminal import is_terminal

PORT = click.IntRange(1, 65535)


@click.command()
@click.option(
    "--client-port", "-client-port", type=PORT, metavar="PORT", help="Port for cpcc and the web page (default 14807)."
)
@click.option(
    "--server-port", "-server-port", type=PORT, metavar="PORT", help="Port for workers, bundles and peers (default 13807)."
)
@click.option(
    "--listen", "-listen", type=Word(), metavar="ADDRESS|all", help="Address to listen on (default: this machine only)."
)
@click.option("--public-name", "-public-name", type=Word(), metavar="HOST", help="Name or address under which others reach it.")
@click.option("-force", "--force", "is_forced", is_flag=True, help="Set up anew; what was there is moved aside.")
@click.option("-host", "--host", "is_host", is_flag=True, help="Settings for this host only (a home shared by many).")
@click.option("-servername", "--servername", type=Word(), metavar="NAME", help="Name of the server (as -c CONFNAME).")
@click.option("-stdin", "--stdin", "is_stdin", is_flag=True, help="Read the password from standard input.")
@click.option("-p", "--password", metavar="PASSWORD", help="The password. Others may see it: better use -stdin.")
@click.argument("project_dir", type=File())
@click.pass_obj
def setup(
    selected: Selected,
    client_port: int | None,
    server_port: int | None,
    listen: str | None,
    public_name: str | None,
    is_forced: bool,
    is_host: bool,
    servername: str | None,
    is_stdin: bool,
    password: str | None,
    project_dir: Path,
) -> None:
    """Set a server up that keeps its projects in PROJECT_DIR."""
    name = name_of(selected.name, servername, host_name() if is_host else None)
    folder = server_folder(name)
    check_absent(folder, is_forced=is_forced)
    run_dir = checked_project_dir(project_dir)
    given: dict[str, Any] = {"run_dir": str(run_dir), "server_host": listen, "server_fqdn": public_name}
    given |= {"client_secure_port": client_port, "server_secure_port": server_port}
    server_settings.resolve({}, folder / server_settings.FILE_NAME, given, environment={})
    if listen is not None:
        check_address(listen)
    secret = ask_password(is_stdin=is_stdin, given=password)
    if listen is None:
        given["server_host"] = ask_listen()
    stored = {key: value for key, value in given.items() if value is not None}
    settings = server_settings.resolve({}, folder / server_settings.FILE_NAME, stored, environment={})
    label = name or host_name()
    owners = build(folder, label, stored, settings, secret)
    place = put_owners_bundle(folder, owners)
    report(name, folder, place, settings, owners)


def name_of(*given: str | None) -> str:
    """Return the one name that was given in one way or another, "" for the default; raise `UsageError` when they differ."""
    names = list(dict.fromkeys(name for name in given if name))
    if len(names) > 1:
        raise UsageError(f"The server cannot be called both {names[0]} and {names[1]}.", "Give -c, -servername or -host alone.")
    return names[0] if names else ""


def check_address(host: str) -> None:
    """Raise `SettingsError` when this machine cannot listen on `host` ("all": all addresses)."""
    hint = "Use all, or an address of this machine."
    try:
        found = socket.getaddrinfo(None if host == "all" else host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, number, _, address = found[0]
        with socket.socket(family, kind, number) as probe:
            probe.bind(address)
    except socket.gaierror:
        raise SettingsError(f"There is no address {host!r}.", hint) from None
    except OSError as error:
        raise SettingsError(f"This machine cannot listen on {host}: {error.strerror}.", hint) from None


def check_absent(folder: Path, *, is_forced: bool) -> None:
    """Raise `Refused` when a server is set up in `folder`: with `is_forced` only when it is running."""
    if not folder.exists():
        return
    if not is_forced:
        raise Refused(
            f"A server is set up in {folder} already.",
            "-force sets it up anew, with a new identity: old bundles, users and logins then count no more.",
        )
    running = holder(folder)
    if running is not None:
        raise Refused(f"The server in {folder} is running (process {running.pid}).", "Stop it first: cpc-server stop")


def checked_project_dir(project_dir: Path) -> Path:
    """Return the absolute path of PROJECT_DIR; raise `SettingsError` when projects could not be kept there."""
    path = Path(os.path.abspath(project_dir.expanduser()))
    nearest = next(place for place in (path, *path.parents) if place.exists())
    if not nearest.is_dir():
        raise SettingsError(f"PROJECT_DIR {path} cannot be made: {nearest} is not a folder.")
    try:
        # Tried, not read off the mode: some file systems take nothing, whatever their modes say.
        os.rmdir(tempfile.mkdtemp(prefix=".copernicus-", dir=nearest))
    except OSError as error:
        why = f"nothing can be made in {nearest}: {error.strerror}"
        raise SettingsError(f"PROJECT_DIR {path} cannot be used: {why}.", "Name another folder.") from None
    return path


def ask_password(*, is_stdin: bool, given: str | None) -> str:
    """Return the owner's password from -p, standard input or the terminal; raise `UsageError`."""
    if given is not None:
        click.echo("Warning: a password on the command line can be seen by others; use -stdin.", err=True)
        password = given
    elif is_stdin:
        password = sys.stdin.readline().rstrip("\r\n") if sys.stdin is not None else ""
    elif is_terminal(sys.stdin):
        click.echo(f"The super user {OWNER} needs a password.", err=True)
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise UsageError("There is no terminal to ask for a password.", "Give it on standard input, with -stdin.")
    check_new_password(password)
    return password


def ask_listen() -> str | None:
    """Ask, where there is a terminal, whether other machines shall reach the server; "all" if so, else None."""
    if not is_terminal(sys.stdin):
        return None
    return "all" if click.confirm("Shall other machines reach this server?", default=False, err=True) else None


def build(folder: Path, label: str, stored: dict[str, Any], settings: ServerSettings, password: str) -> Bundle:
    """Make everything beside `folder`, then put it into place with one rename; return the owner's bundle."""
    make_private_folder(folder.parent)
    beside = folder.with_name(f".{folder.name}-{secrets.token_hex(6)}")
    try:
        places = ServerPlaces(beside)
        server_settings.write(beside, stored)
        keys = KeyFolder(places.keys)
        now = datetime.datetime.now(datetime.UTC)
        keys.create(now)
        keys.renew_server_certificate(settings.certificate_names, now)
        store = SqliteAccessStore(places.access)
        try:
            Users(store, time.time).add(OWNER, password, is_super=True)
            owners = Bundles(store, keys, time.time).issue(address_of(settings, label), "admin", OWNER)
        finally:
            store.close()
        if folder.exists():
            aside = folder.with_name(f"{folder.name}.old-{now:%Y%m%dT%H%M%S}")
            os.replace(folder, aside)
            click.echo(f"What was set up before is now in {aside}.")
        os.replace(beside, folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return owners


def put_owners_bundle(folder: Path, bundle: Bundle) -> Path:
    """Write the owner's bundle where `cpcc` and `cpc-worker` look for it; another server's bundle is never replaced."""
    own = folder.parent / BUNDLE_NAME
    general = settings_home() / BUNDLE_NAME
    place = general if folder.parent.name == DEFAULT_NAME and not is_foreign(general, folder) else own
    write_bundle(place, bundle)
    return place


def is_foreign(place: Path, folder: Path) -> bool:
    """Return whether `place` holds something else than a bundle of this server or of one set up here before."""
    if not place.exists():
        return False
    try:
        known = read_bundle(place).authority
    except CopernicusError:
        return True
    former = [*folder.parent.glob(f"{folder.name}.old-*/keys/ca.pem"), folder / "keys" / "ca.pem"]
    return all(fingerprint(known) != fingerprint(authority.read_text()) for authority in former)


def report(name: str, folder: Path, bundle: Path, settings: ServerSettings, owners: Bundle) -> None:
    """Say what was made and what comes next."""
    option = f"-c {name} " if name else ""
    click.echo(f"The server is set up in {folder}.")
    click.echo(f"Projects:    {settings.run_dir} (made with the first project)")
    click.echo(f"Ports:       {settings.client_secure_port} (clients), {settings.server_secure_port} (workers, bundles)")
    click.echo(f"Fingerprint: {fingerprint(owners.authority)}")
    click.echo(f"Your bundle: {bundle} (super-user access; keep it to yourself)")
    if settings.server_host == ServerSettings().server_host:
        click.echo(
            f"It listens on this machine only. To open it: cpc-server {option}config server_host all, "
            f"then cpc-server {option}config server_fqdn NAME"
        )
    else:
        click.echo(f"Bundles say: {settings.public_host} (to change that: cpc-server {option}config server_fqdn NAME)")
    click.echo(f"Start it:    cpc-server {option}start")
