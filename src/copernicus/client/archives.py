"""Projects as archives, to and from local files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from copernicus.blobs.descriptors import write_all
from copernicus.blobs.durable import disk_errors, sync_folder
from copernicus.client.files import upload
from copernicus.client.project import new_request_id
from copernicus.errors import Refused, UsageError
from copernicus.net.transfer import Progress
from copernicus.wire import messages as m
from copernicus.wire.endpoints import ARCHIVES

if TYPE_CHECKING:
    from copernicus.net.caller import Caller

SUFFIX = ".tar.gz"
PIECE_BYTES = 256 * 1024
SILENCE_S = 300.0
LOAD_TIMEOUT_S = 24 * 3600.0


def save(
    caller: Caller,
    project: str,
    target: Path,
    *,
    is_whole: bool = False,
    is_replaced: bool = False,
    told: Callable[[int], None] = lambda count: None,
) -> int:
    """Write the archive of a project to `target`, which appears only when it is whole; return its size in bytes.

    Raise `Refused` when `target` exists (unless `is_replaced`), `UsageError` when it cannot be written, `Unreachable` when
    the server breaks off: a connection that broke, or a file of the project that has changed on the server's disk.
    """
    if target.exists() and not is_replaced:
        raise Refused(f"{target} exists.", "Name another file, or remove it.")
    partial = target.with_name(f".{target.name[:200]}.{os.getpid()}.partial")
    try:
        with disk_errors(str(target)):
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}.", "Name another place.") from None
    try:
        count = _fetch(caller, project, descriptor, is_whole, told)
        os.fsync(descriptor)
        partial.replace(target)
        sync_folder(target.absolute().parent)
    finally:
        os.close(descriptor)
        partial.unlink(missing_ok=True)
    return count


def _fetch(caller: Caller, project: str, descriptor: int, is_whole: bool, told: Callable[[int], None]) -> int:
    where = f"{ARCHIVES}{quote(project, safe='')}{'?all=1' if is_whole else ''}"
    response = caller.exchange("GET", where, timeout_s=SILENCE_S)
    if response.status != 200:
        caller.read(response)
    count = 0
    while True:
        with caller.reading():
            piece = response.read(PIECE_BYTES)
        if not piece:
            return count
        with disk_errors("the archive"):
            write_all(descriptor, piece)
        count += len(piece)
        told(count)


def load(caller: Caller, file: Path, name: str, progress: Progress | None = None) -> m.LoadReply:
    """Make a project `name` of the archive `file`, sent as far as the server does not have it.

    Raise `UsageError` when it cannot be read, `Refused` when it is no whole archive or the name is taken.
    """
    taken = [row.name for row in caller.call(m.ProjectsRequest()).projects]
    if name in taken:  # before gigabytes are sent
        raise Refused(f"There is already a project {name!r}.", "Choose another name.")
    archive = upload(caller, file, progress)
    return caller.call(m.LoadRequest(name, archive, new_request_id()), timeout_s=LOAD_TIMEOUT_S)
