"""Files by descriptor: opened only when they are regular ones, written wholly."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from copernicus.errors import UsageError


def open_regular(path: Path, *, is_link_followed: bool = False) -> int:
    """Return a descriptor for reading a regular file; raise `UsageError` if it is something else, or (a link to) nothing."""
    try:
        # NONBLOCK: opening a FIFO must not hang; it has no effect on regular files
        follow = 0 if is_link_followed else os.O_NOFOLLOW
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | follow)
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {os.strerror(error.errno or 0)}.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{path} is not a regular file.")
    return descriptor


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`; raise `OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
