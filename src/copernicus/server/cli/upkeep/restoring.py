"""Restoration: a backup becomes a server's data again, checked to the last byte before anything of it is put in place."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import msgspec

from copernicus.blobs.folder import BlobFolder
from copernicus.config import settings as server_settings
from copernicus.config.files import PRIVATE_FOLDER, make_private_folder, sync_folder, write_atomic
from copernicus.config.places import ServerPlaces
from copernicus.config.running import holder
from copernicus.errors import CorruptData, Refused
from copernicus.net.keys import KeyFolder
from copernicus.net.tls import fingerprint
from copernicus.server.app import BLOBS_NAME, BOOK_NAME
from copernicus.server.cli.upkeep.backups import KEYS, PROJECTS, SERVER, copying, inspect_backup, read_note
from copernicus.server.storage.sqlite.book import MIGRATIONS
from copernicus.server.storage.sqlite.database import open_database
from copernicus.server.storage.sqlite.epochs import begin_epoch


class Restored(msgspec.Struct, frozen=True):
    """What was restored: `is_server_new` when settings, keys and users came from the backup, too; `made_at` is its time."""

    projects: list[str]
    project_dir: str
    made_at: float
    is_server_new: bool
    floor: int


def restore_backup(backup: Path, server: Path, projects: Path, now: float) -> Restored:
    """Put a backup into PROJECT_DIR `projects`, and let the server in `server` use it; what is missing of that one comes, too.

    Raise `Refused` when that would overwrite anything or the server is another one, `CorruptData` when the backup is damaged.
    """
    note = read_note(backup)
    check_target(server, projects, note.server)
    found = inspect_backup(backup)
    if found.findings:
        more = f" ({len(found.findings)} things are wrong)" if len(found.findings) > 1 else ""
        raise CorruptData(
            f"The backup {backup} is damaged: {found.findings[0].what}: {found.findings[0].problem}{more}",
            "Nothing was restored. Use another backup.",
        )
    beside = projects.with_name(f".{projects.name}-{secrets.token_hex(6)}")
    with copying(projects):
        make_private_folder(projects.parent)
        try:
            floor = _build_projects(backup / PROJECTS, beside, now)
            if projects.exists():
                projects.rmdir()  # it is empty
            if beside.exists():
                os.rename(beside, projects)
                sync_folder(projects.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        is_new = not server.exists()
        if is_new:
            _build_server(backup / SERVER, server, projects)
        else:
            server_settings.write(server, server_settings.read(server) | {"run_dir": str(projects)})
    return Restored(note.projects, str(projects), note.made_at, is_new, floor)


def check_target(server: Path, projects: Path, own: str) -> None:
    """Raise `Refused` when something is where the backup shall go, or the server that is set up is another one, or runs."""
    if projects.exists() and (not projects.is_dir() or any(projects.iterdir())):
        raise Refused(f"{projects} is not empty.", "Nothing is overwritten: name a folder that is not there yet.")
    if not server.exists():
        return
    running = holder(server)
    if running is not None:
        raise Refused(f"The server in {server} is running (process {running.pid}).", "Stop it first: cpc-server stop")
    if fingerprint(KeyFolder(ServerPlaces(server).keys).authority()) != own:
        raise Refused(
            f"The server in {server} is another one than that of the backup.",
            "Restore under another name: cpc-server -c NAME restore DIR PROJECT_DIR",
        )


def _build_projects(source: Path, target: Path, now: float) -> int:
    """Copy book and files, each byte checked once more, and begin a new epoch; return its floor (0: there is no book)."""
    if not source.exists():
        return 0
    target.mkdir(mode=PRIVATE_FOLDER)
    blobs, copies = BlobFolder(source / BLOBS_NAME), BlobFolder(target / BLOBS_NAME)
    for blob in blobs.blobs():
        copies.put_stream(blob, blobs.stream(blob))
    shutil.copyfile(source / BOOK_NAME, target / BOOK_NAME)
    (target / BOOK_NAME).chmod(0o600)
    book = open_database(target / BOOK_NAME, MIGRATIONS)
    try:
        floor = begin_epoch(book, now)
    finally:
        book.close()
    descriptor = os.open(target / BOOK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(target)
    return floor


def _build_server(source: Path, server: Path, projects: Path) -> None:
    """Make the server's own folder of what the backup has of it."""
    beside = server.with_name(f".{server.name}-{secrets.token_hex(6)}")
    make_private_folder(server.parent)
    try:
        copies, places = ServerPlaces(source), ServerPlaces(beside)
        make_private_folder(places.keys)
        for name in KEYS:
            write_atomic(places.keys / name, (copies.keys / name).read_bytes())
        write_atomic(places.access, copies.access.read_bytes())
        stored = server_settings.read(source)
        server_settings.write(beside, stored | {"run_dir": str(projects)})
        os.rename(beside, server)
        sync_folder(server.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
