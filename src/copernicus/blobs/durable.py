"""Writes that are whole and survive a power cut; system errors in the house's words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from copernicus.config.files import sync_folder, write_atomic
from copernicus.errors import NoSpace

__all__ = ["disk_errors", "sync_folder", "write_atomic"]


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn *disk full* and *quota exceeded* while doing `what` into `NoSpace`; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"There is no space left for {what}.", "Free some space; it is then tried again.") from None
        raise
