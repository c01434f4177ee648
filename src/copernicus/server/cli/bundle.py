"""`cpc-server bundle`: make a connection bundle, whether or not the server is running."""

from __future__ import annotations

import time
from pathlib import Path
from typing import get_args

import click
import msgspec

from copernicus.config import settings as server_settings
from copernicus.config.places import BUNDLE_NAME, ServerPlaces, settings_home
from copernicus.config.settings import ServerSettings
from copernicus.errors import CopernicusError, Refused
from copernicus.net.bundle import Role, read_bundle, write_bundle
from copernicus.net.keys import KeyFolder
from copernicus.net.tls import fingerprint
from copernicus.program import File, Word, life_in_days
from copernicus.server.access.bundles import Address, Bundles
from copernicus.server.access.users import OWNER
from copernicus.server.cli import Selected
from copernicus.server.storage.sqlite.access import SqliteAccessStore


@click.command()
@click.option("-o", "--output", type=File(), metavar="FILE", help="The file to write (default client.cnx).")
@click.option(
    "--role", "-role", type=click.Choice(get_args(Role)), default="admin", help="What it may do (default admin: everything)."
)
@click.option("--user", "-user", type=Word(), default=OWNER, metavar="USER", help="The user whom it acts for (default root).")
@click.option(
    "--project", "-project", "projects", type=Word(), multiple=True, metavar="PROJECT", help="Limit it to this project."
)
@click.option("--expires", "-expires", metavar="TIME", help="Its life: 30 or 30d (days), 12h, 8w, 2y.")
@click.pass_obj
def bundle(
    selected: Selected, output: Path | None, role: Role, user: str, projects: tuple[str, ...], expires: str | None
) -> None:
    """Make a connection bundle, for a worker or client."""
    folder = selected.folder
    settings = server_settings.load(folder)
    places, keys = ServerPlaces(folder), KeyFolder(ServerPlaces(folder).keys)
    keys.check()
    days = life_in_days(expires) if expires is not None else None
    output = output or Path("worker.cnx" if role == "worker" else "client.cnx")
    check_replaceable(output, keys.authority())
    store = SqliteAccessStore(places.access)
    try:
        made = Bundles(store, keys, time.time).issue(address_of(settings, selected.label), role, user, projects, days)
    finally:
        store.close()
    write_bundle(output, made)
    ends = time.strftime("%Y-%m-%d", time.localtime(made.expires_at))
    click.echo(f"Wrote {output}: role {role}, for {made.host}:{made.secure_port}, until {ends}, serial {made.serial}.")
    if role == "admin" and not projects:
        click.echo(
            "It gives super-user access. For workers on other machines, safer: cpc-server bundle --role worker -o worker.cnx"
        )


def address_of(settings: ServerSettings, label: str) -> Address:
    """Return where bundles shall say that the server is."""
    return Address(label, (settings.public_host,), settings.client_secure_port, settings.server_secure_port)


def check_replaceable(path: Path, authority: str) -> None:
    """Raise `Refused` when `path` is there and is not a bundle of this same server: keys of others are not overwritten."""
    if not path.exists():
        return
    if path.is_dir():
        raise Refused(f"{path} is a folder.", "Name a file with -o FILE.")
    try:
        is_own = fingerprint(read_bundle(path).authority) == fingerprint(authority)
    except CopernicusError:
        is_own = False
    if not is_own:
        raise Refused(
            f"There is a file {path} already, and it is not a valid bundle of this server.", "Name another one with -o FILE."
        )


def move_owners_bundle(folder: Path, address: Address) -> Path | None:
    """Make the owner's bundle say where the server in `folder` is now; its key and certificate stay.

    Return the file if it had said something else. Raise `SettingsError` when it cannot be written.
    """
    own = fingerprint(KeyFolder(ServerPlaces(folder).keys).authority())
    for path in (settings_home() / BUNDLE_NAME, folder.parent / BUNDLE_NAME):
        try:
            known = read_bundle(path)
        except CopernicusError:
            continue  # none, or not one that anybody could use
        moved = msgspec.structs.replace(
            known, addresses=address.hosts, client_port=address.client_port, secure_port=address.secure_port
        )
        if fingerprint(known.authority) == own and moved != known:
            write_bundle(path, moved)
            return path
    return None


def tell_moved(path: Path | None) -> None:
    """Say that the owner's bundle was changed, if it was."""
    if path is not None:
        moved = read_bundle(path)
        click.echo(f"Your bundle {path} now says {moved.host}, ports {moved.client_port} and {moved.secure_port}.")
