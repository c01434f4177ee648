"""Local files to the server and back: hashed first, so that only what is missing travels."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from copernicus.errors import UnknownPath, UsageError, WrongType
from copernicus.model.types import decode, parse_type
from copernicus.model.values import FileRef
from copernicus.net import transfer
from copernicus.net.transfer import Progress
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.net.caller import Caller


def describe(path: Path) -> FileRef:
    """Return what stands in the local file `path`; raise `UsageError` when it is no readable regular file."""
    from copernicus.blobs.hashing import hash_file

    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise UsageError(f"{path} is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'}.", "Name a file.")
        blob, size = hash_file(path)
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}.", "Check the name, and the folder that you are in.") from None
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror}.") from None
    return FileRef(blob, size, path.name)


def upload(caller: Caller, path: Path, progress: Progress | None = None) -> FileRef:
    """Bring the local file `path` to the server, as far as it is not there; return what it is. Raises as `describe`."""
    file = describe(path)
    # Asked once without patience, so that a server that is not there is told of at once.
    if not caller.call(m.BlobStatusRequest([file.blob])).is_complete[0]:
        transfer.upload(caller, file, path, progress)
    return file


def download(caller: Caller, file: FileRef, target: Path, progress: Progress | None = None) -> Path:
    """Write `file` to `target`, verified, wholly or not at all; raise `UsageError` when it cannot be written."""
    try:
        transfer.download(caller, file, target, progress)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}.", "Name another place with -f.") from None
    return target


def file_of(reply: m.GetReply) -> FileRef:
    """Return the file that an answer holds; raise `WrongType` or `UnknownPath` when it holds none."""
    kind = parse_type(reply.type)
    if kind.kind != "file":
        one = f"{reply.path}[0]" if kind.kind == "array" and kind.element.kind == "file" else "the path of a file"
        raise WrongType(f"{reply.path} is {reply.type}, not a file.", f"Name {one}; see: cpcc get {reply.path}")
    typed = decode(kind, reply.value, reply.path)
    if not isinstance(typed, FileRef):
        raise UnknownPath(f"There is no file at {reply.path} yet.", f"See: cpcc why {reply.path.rpartition(':')[0]}")
    return typed
