"""Writes that are whole and survive a power cut; system errors in the house's words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from copernicus.config.files import sync_folder, write_atomic
from copernicus.errors import NoSpace

__all__ = ["check_space", "disk_errors", "sync_folder", "write_atomic"]


PROBE_BYTES = 1024 * 1024


def check_space(folder: Path) -> None:
    """Write a little into `folder`, and remove it again; raise `NoSpace` when the disk does not take it, `OSError`."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        with disk_errors(str(folder)), open(probe, "wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn *disk full* and *quota exceeded* while doing `what` into `NoSpace`; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"There is no space left for {what}.", "Free some space; it is then tried again.") from None
        raise
