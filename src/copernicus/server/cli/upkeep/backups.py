"""Backups: complete copies of a server in folders of their own, beside each other; files that two of them have are shared."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from copernicus._version import __version__
from copernicus.blobs.folder import BlobFolder
from copernicus.blobs.hashing import hash_file
from copernicus.config import settings as server_settings
from copernicus.config.files import PRIVATE_FOLDER, make_private_folder, sync_folder, write_atomic
from copernicus.config.places import AUTHORITY_NAME, ServerPlaces
from copernicus.errors import CopernicusError, CorruptData, NoSpace, Refused, Unavailable, UnknownPath, UsageError
from copernicus.net.keys import KeyFolder
from copernicus.net.tls import fingerprint
from copernicus.server.app import BLOBS_NAME, BOOK_NAME
from copernicus.server.cli.upkeep.books import BookSurvey, Needed
from copernicus.server.cli.upkeep.findings import Inspection
from copernicus.server.cli.upkeep.inspecting import inspect
from copernicus.server.storage.sqlite.database import copy_database, open_reader

FORMAT = 1
NOTE, SERVER, PROJECTS = "backup.json", "server", "projects"
KEYS = ("ca.key", AUTHORITY_NAME)
"""The keys that make a server what it is; the other ones are made anew at its next start."""
TRIES = 5
_NAME = re.compile(r"backup-(\d{8}T\d{6}Z)(?:-(\d+))?")
_PARTIAL = re.compile(r"\.partial-(\d+)-[0-9a-f]+")


class Note(msgspec.Struct, frozen=True):
    """What a backup says of itself, its last file: `server` is the server's fingerprint, `hashes` are of all other files
    but those of projects, whose names are their hashes."""

    format: int
    version: str
    made_at: float
    server: str
    projects: list[str]
    hashes: dict[str, str]
    files: int = 0
    bytes: int = 0


class Made(msgspec.Struct, frozen=True):
    """A backup that was made: `new_files` were copied, with so many bytes; the others are shared with the one before."""

    path: str
    projects: int
    files: int
    bytes: int
    new_files: int
    new_bytes: int
    lost_results: int = 0


# --- looking ---------------------------------------------------------------------------------------------------------


def backups_in(folder: Path) -> list[Path]:
    """Return the finished backups in a folder, the oldest first."""
    found = list[tuple[str, int, Path]]()
    for path in folder.iterdir() if folder.is_dir() else ():
        name = _NAME.fullmatch(path.name)
        if name and (path / NOTE).exists():
            found.append((name[1], int(name[2] or 1), path))
    return [path for *_, path in sorted(found)]


def find_backup(folder: Path) -> Path:
    """Return `folder` if it is a backup, else the newest one in it; raise `UsageError`."""
    if (folder / NOTE).is_file():
        return folder
    found = backups_in(folder)
    if not found:
        raise UsageError(f"There is no backup in {folder}.", "Name what was given to: cpc-server backup DIR")
    return found[-1]


def read_note(backup: Path) -> Note:
    """Return what a backup says of itself; raise `CorruptData`, `Refused` when a newer Copernicus made it."""
    try:
        data = (backup / NOTE).read_bytes()
        form = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("format", msgspec.Raw(b"0"))
        if msgspec.json.decode(form, type=int) != FORMAT:
            raise Refused(f"{backup} has another format than {FORMAT}.", "Use the version of Copernicus that made it.")
        return msgspec.json.decode(data, type=Note)
    except msgspec.DecodeError:
        raise CorruptData(f"{backup / NOTE} is damaged.", "Use another backup.") from None


def inspect_backup(backup: Path) -> Inspection:
    """Look at everything in a backup; raise what `read_note` raises."""
    note = read_note(backup)
    found = inspect(backup / SERVER, backup / PROJECTS)
    for name, known in note.hashes.items():
        path = backup / name
        if not path.is_file():
            found.add(path, "The file is missing.", "Use another backup.")
        elif hash_file(path)[0] != known:
            found.add(path, "The file has changed since the backup was made.", "Use another backup.")
    if found.files < note.files:
        found.add(backup, f"It had {note.files} files of projects, {found.files} are left.", "Use another backup.")
    return found


# --- making ----------------------------------------------------------------------------------------------------------


def make_backup(server: Path, projects: Path | None, folder: Path, now: float) -> Made:
    """Copy a server, running or not, into a new folder within `folder`; it has its name only when it is whole.

    Raise `Refused`, `NoSpace`, `Unavailable`, `CorruptData` when what is to be copied is damaged.
    """
    check_apart(folder, server, projects)
    with copying(folder):
        make_private_folder(folder)
        remove_partial(folder)
        before = backups_in(folder)
        partial = folder / f".partial-{os.getpid()}-{secrets.token_hex(6)}"
        partial.mkdir(mode=PRIVATE_FOLDER)
        try:
            made, names = _fill(partial, server, projects, before[-1] if before else None)
            _note(partial, names, made, now)
            target = _free_name(folder, now)
            os.rename(partial, target)
            sync_folder(folder)
        finally:
            if partial.exists():
                shutil.rmtree(partial, ignore_errors=True)
    return msgspec.structs.replace(made, path=str(target))


def check_apart(folder: Path, server: Path, projects: Path | None) -> None:
    """Raise `Refused` when backups would lie within what they are of."""
    for place in (server, projects):
        if place is not None and folder.resolve().is_relative_to(place.resolve()):
            raise Refused(
                f"{folder} lies within {place}, which is to be backed up.", "Name a folder elsewhere, best on another disk."
            )


def _fill(partial: Path, server: Path, projects: Path | None, before: Path | None) -> tuple[Made, list[str]]:
    made, names = Made("", 0, 0, 0, 0, 0), list[str]()
    if projects is not None and (projects / BOOK_NAME).exists():
        (partial / PROJECTS).mkdir(mode=PRIVATE_FOLDER)
        made, names = _copy_projects(projects, partial / PROJECTS, before / PROJECTS if before is not None else None)
    # Behind the projects: whoever has access to one of them that is in here is in here, too.
    places, copies = ServerPlaces(server), ServerPlaces(partial / SERVER)
    make_private_folder(copies.keys)
    _copy_database(places.access, copies.access)
    for name in KEYS:
        write_atomic(copies.keys / name, (places.keys / name).read_bytes())
    write_atomic(copies.folder / server_settings.FILE_NAME, (server / server_settings.FILE_NAME).read_bytes())
    return made, names


def _copy_projects(projects: Path, copy: Path, before: Path | None) -> tuple[Made, list[str]]:
    """Copy the book and all files that it needs. The server may delete some meanwhile: then a newer book needs fewer."""
    for _ in range(TRIES):
        (copy / BOOK_NAME).unlink(missing_ok=True)
        _copy_database(projects / BOOK_NAME, copy / BOOK_NAME)
        found = Inspection()
        survey = BookSurvey(copy / BOOK_NAME, found)
        survey.read()
        if found.findings:
            what = found.findings[0].problem
            raise CorruptData(f"{projects / BOOK_NAME} cannot be backed up as it is: {what}", "See: cpc-server verify")
        made = _copy_blobs(projects / BLOBS_NAME, copy / BLOBS_NAME, before / BLOBS_NAME if before else None, survey.needed)
        if made is not None:
            return msgspec.structs.replace(made, projects=len(survey.names)), survey.names
    raise CorruptData(f"Files that projects need are missing in {projects / BLOBS_NAME}.", "See: cpc-server verify")


def _copy_blobs(source: Path, target: Path, before: Path | None, needed: dict[str, Needed]) -> Made | None:
    """Copy files, or share them with the backup before; None when one that is kept has gone."""
    blobs, copies = BlobFolder(source), BlobFolder(target)
    older = BlobFolder(before) if before is not None else None
    files = total = new_files = new_bytes = lost = 0
    for blob, need in needed.items():
        if not copies.has(blob) and not (older is not None and _share(older, copies, blob, need.size)):
            try:
                new_bytes += copies.put_stream(blob, blobs.stream(blob))
                new_files += 1
            except UnknownPath:
                if need.is_kept:
                    return None
                continue  # a result that nothing needed had had its time
            except CorruptData:
                if need.is_kept:
                    raise CorruptData(f"{blobs.path(blob)} has changed on disk.", "See: cpc-server verify") from None
                lost += 1
                continue
        files += 1
        total += need.size
    return Made("", 0, files, total, new_files, new_bytes, lost)


def _share(older: BlobFolder, copies: BlobFolder, blob: str, size: int) -> bool:
    """Make a file of the backup before one of this, too; return whether that could be."""
    target = copies.path(blob)
    try:
        if older.size(blob) != size:
            return False
        make_private_folder(target.parent)
        os.link(older.path(blob), target, follow_symlinks=False)
    except (OSError, UnknownPath):
        return False  # it has none, or the file system cannot share: it is copied
    return True


def _copy_database(path: Path, target: Path) -> None:
    connection = open_reader(path)
    try:
        copy_database(connection, path, target)
    finally:
        connection.close()


def _note(partial: Path, names: list[str], made: Made, now: float) -> None:
    """Make everything durable, and say last what it is."""
    hashes = dict[str, str]()
    for path in sorted(partial.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        elif path.parent.parent.name != BLOBS_NAME:
            hashes[str(path.relative_to(partial))] = hash_file(path)[0]
    own = fingerprint(KeyFolder(partial / SERVER / "keys").authority())
    note = Note(FORMAT, __version__, now, own, names, hashes, made.files, made.bytes)
    write_atomic(partial / NOTE, msgspec.json.format(msgspec.json.encode(note)) + b"\n")


def _free_name(folder: Path, now: float) -> Path:
    name = time.strftime("backup-%Y%m%dT%H%M%SZ", time.gmtime(now))
    count, path = 1, folder / name
    while path.exists():
        count += 1
        path = folder / f"{name}-{count}"
    return path


# --- keeping ---------------------------------------------------------------------------------------------------------


def remove_partial(folder: Path) -> None:
    """Remove what backups that were cut have left."""
    for path in folder.iterdir():
        found = _PARTIAL.fullmatch(path.name)
        if found and not psutil.pid_exists(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def remove_old(folder: Path, keep: int) -> list[Path]:
    """Remove all backups in a folder but the newest `keep`; return those that went."""
    old = backups_in(folder)[:-keep]
    for path in old:
        with copying(folder):
            (path / NOTE).unlink()  # from now on it is none, however far the rest comes
            shutil.rmtree(path)
    return old


@contextmanager
def copying(folder: Path) -> Iterator[None]:
    """Say of errors of the disk what they mean for a backup."""
    try:
        yield
    except CopernicusError:
        raise
    except OSError as error:
        full = NoSpace if error.errno in (28, 122) else Unavailable
        where = error.filename or folder
        raise full(
            f"The backup was not made: {where}: {error.strerror}.", "The backups that were there are as they were."
        ) from None
