"""Inspection of a server's data, at rest or in use, and of a backup: database, logs, jobs, files, keys, modes."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from copernicus.blobs.folder import BlobFolder
from copernicus.config import settings as server_settings
from copernicus.config.files import check_private
from copernicus.config.places import ServerPlaces
from copernicus.config.running import holder
from copernicus.errors import CopernicusError, CorruptData, UnknownPath
from copernicus.net.keys import KeyFolder
from copernicus.server.app import BLOBS_NAME, BOOK_NAME
from copernicus.server.cli.upkeep.books import BookSurvey, Needed, check_pages, noting, reading
from copernicus.server.cli.upkeep.findings import Inspection
from copernicus.server.storage.sqlite.access import ACCESS_MIGRATIONS
from copernicus.server.storage.sqlite.database import check_schema

_BLOB = re.compile(r"[0-9a-f]{64}")
SEND_AGAIN = "Restore a backup, or send the file again."


def inspect(server: Path, projects: Path | None) -> Inspection:
    """Look at everything in a server's own folder and in PROJECT_DIR, None where there is none yet. Changes nothing."""
    inspection = Inspection()
    check_server(server, inspection)
    if projects is not None and projects.exists():
        check_projects(projects, inspection)
    return inspection


def check_server(server: Path, inspection: Inspection) -> None:
    """Look at settings, keys and the database of users."""
    places = ServerPlaces(server)
    private = [server, places.keys, server / server_settings.FILE_NAME, *sorted(server.glob(f"{places.access.name}*"))]
    check_modes([*private, *sorted(places.keys.glob("*.key"))], inspection)
    with noting(server / server_settings.FILE_NAME, inspection):
        server_settings.load(server, environment={})
    with noting(places.keys, inspection):
        check_keys(KeyFolder(places.keys))
    if not places.access.exists():
        inspection.add(places.access, "The database of users is missing.")
        return
    with noting(places.access, inspection), reading(places.access) as connection:
        check_schema(connection, places.access, ACCESS_MIGRATIONS)
        check_pages(connection, places.access, inspection)


def check_keys(keys: KeyFolder) -> None:
    """Raise `CopernicusError` when the CA's key and certificate are missing, damaged, or not of each other."""
    keys.check()
    try:
        authority = x509.load_pem_x509_certificate(keys.authority().encode())
        key = serialization.load_pem_private_key((keys.folder / "ca.key").read_bytes(), password=None)
        authority.verify_directly_issued_by(authority)
    except (ValueError, TypeError, UnsupportedAlgorithm, UnicodeDecodeError):
        raise CorruptData(f"{keys.folder} is damaged: the server's key or certificate cannot be read.") from None
    except Exception:  # its signature is wrong; how that is said differs with the kind of key
        raise CorruptData(f"{keys.folder} is damaged: the server's certificate has changed.") from None
    if key.public_key() != authority.public_key():
        raise CorruptData(f"{keys.folder} is damaged: the server's key is not that of its certificate.")


def check_projects(projects: Path, inspection: Inspection) -> None:
    """Look at the book and at every file that it refers to."""
    book, blobs = projects / BOOK_NAME, BlobFolder(projects / BLOBS_NAME)
    check_modes([*sorted(projects.glob(f"{BOOK_NAME}*")), blobs.root], inspection)
    needed: dict[str, Needed] = {}
    if book.exists():
        survey = BookSurvey(book, inspection)
        survey.read()
        needed = survey.needed
    elif any(blobs.blobs()):
        inspection.add(book, "There are files, but no book.")
    missing = {blob for blob, need in needed.items() if need.is_kept and not blobs.has(blob)}
    if missing and holder(projects) is not None:  # somebody may have given them up since the book was read
        again = BookSurvey(book, Inspection())
        again.read()
        missing = {blob for blob in missing if blob in again.needed and again.needed[blob].is_kept}
    for blob in sorted(missing):
        inspection.add(blobs.path(blob), f"The content of {needed[blob].name!r} is missing.", SEND_AGAIN)
    check_blobs(blobs, needed, inspection)


def check_blobs(blobs: BlobFolder, needed: dict[str, Needed], inspection: Inspection) -> None:
    """Read every file, and compare it with its name and with what the book says of it."""
    for blob in blobs.blobs():
        if not _BLOB.fullmatch(blob):
            inspection.add(blobs.root / blob[:2] / blob, "It is no file of a project.", "Move it away.")
            continue
        need = needed.get(blob)
        hint = SEND_AGAIN if need is not None and need.is_kept else "Nothing needs it: delete it."
        try:
            size = blobs.size(blob)
            blobs.verify(blob)
        except UnknownPath:
            continue  # deleted while we looked, or named above
        except CopernicusError:
            inspection.add(blobs.path(blob), "The file has changed on disk.", hint)
            continue
        except OSError as error:
            inspection.add(blobs.path(blob), f"The file cannot be read: {error.strerror}.", hint)
            continue
        inspection.files += 1
        inspection.bytes += size
        if need is not None and need.size != size:
            inspection.add(blobs.path(blob), f"The file has {size} bytes, the book says {need.size}.")


def check_modes(paths: list[Path], inspection: Inspection) -> None:
    """Note what others than its owner can use."""
    for path in paths:
        try:
            check_private(path, "The folder" if path.is_dir() else "The file")
        except FileNotFoundError:
            continue  # said elsewhere, where it must be there
        except CopernicusError as error:
            inspection.add(path, error.message.replace(f" {path}", ""), error.hint)
