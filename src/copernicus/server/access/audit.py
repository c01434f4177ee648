"""The audit log: who did what that matters for security, when and from where. One JSON line each, never rewritten."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from copernicus.config.files import PRIVATE_FILE, check_private
from copernicus.errors import Unavailable

LONGEST_WORD = 200
TAIL_BYTES = 1 << 20


class AuditRow(msgspec.Struct, frozen=True):
    """One thing that was done: when (Unix time), by whom, from which address, what, and what it concerned."""

    at: float
    who: str
    address: str
    what: str
    about: str = ""


class Audit:
    """The file of the audit log, mode 0600, opened for appending only. The calls block: not for the event loop."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        """Open the file; raise `SettingsError` when others could read it, `OSError` as the system gives it."""
        self.path = path
        self._now = now
        self._lock = threading.Lock()
        if path.exists():
            check_private(path, "The audit log")
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            if file.read() not in (b"", b"\n"):
                os.write(self._descriptor, b"\n")  # a line was cut by a power failure

    def write(self, who: str, address: str, what: str, about: str = "") -> None:
        """Add a line, durable when this returns; raise `Unavailable` when the disk refuses it."""
        row = AuditRow(self._now(), who[:LONGEST_WORD], address[:LONGEST_WORD], what, about[:LONGEST_WORD])
        try:
            with self._lock:
                os.write(self._descriptor, msgspec.json.encode(row) + b"\n")
                os.fsync(self._descriptor)
        except OSError as error:
            raise Unavailable(
                f"The audit log cannot be written: {error.strerror}.", "Free some space, then try again."
            ) from None

    def last(self, count: int) -> list[AuditRow]:
        """Return up to `count` of the newest lines, the oldest first; a line that a power cut left half written is no line."""
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().split(b"\n")[1 if size > TAIL_BYTES else 0 :]
        rows = []
        for line in lines:
            try:
                rows.append(msgspec.json.decode(line, type=AuditRow))
            except msgspec.DecodeError:
                continue
        return rows[-count:]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
