"""Files as module code sees them: a name, a size, a content hash, and the content when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from copernicus.errors import ModuleError, TooLarge

READ_LIMIT_BYTES = 16 * 1024 * 1024


def _nowhere(blob: str) -> bytes:
    raise ModuleError(f"The content of blob {blob[:12]}… cannot be read here: no folder of blobs was given.")


_read: Callable[[str], bytes] = _nowhere
_path: Callable[[str], Path] | None = None


def read_blobs_with(read: Callable[[str], bytes], path: Callable[[str], Path] | None = None) -> None:
    """Let every `File` of this process read its content with `read(hash) -> bytes`; `path` tells programs where it lies."""
    global _read, _path  # one process, one folder of blobs
    _read, _path = read, path


def path_of(blob: str) -> str:
    """Return where the content of a blob can be read by other programs, or "" when that is nowhere."""
    return str(_path(blob)) if _path is not None else ""


@dataclass(frozen=True, slots=True)
class File:
    """A file by content: hash of its bytes, size in bytes, and the name it was given.

    `place` says which input it came with (`xtc_3`): the name under which it is staged in a job's work folder.
    """

    blob: str
    size: int
    name: str = "file"
    place: str = field(default="", compare=False, repr=False)

    def read_bytes(self) -> bytes:
        """Return the content; raise `TooLarge` above 16 MiB (big files are the business of jobs)."""
        if self.size > READ_LIMIT_BYTES:
            raise TooLarge(
                f"{self.name} has {self.size} bytes; module code reads files up to {READ_LIMIT_BYTES} bytes.",
                "Read it in a command, whose job runs on a worker.",
            )
        return _read(self.blob)

    def read_text(self) -> str:
        """Return the content as UTF-8 text; raise `TooLarge` above 16 MiB."""
        return self.read_bytes().decode("utf-8")
