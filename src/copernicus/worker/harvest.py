"""What a program left in its work folder: files found without following links, texts, tails."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from copernicus.worker.judging import compile_pattern

READ_LIMIT_BYTES = 16 * 1024**2
TAIL_LINES, TAIL_BYTES = 50, 16 * 1024
STREAMS = ("stdout", "stderr")
_DIGITS = re.compile(r"([0-9]+)")
_KINDS = {
    stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip


def natural_key(name: str) -> list[list[str | int]]:
    """Return a key that sorts numbers in names by value: part2 before part10; folder by folder."""
    return [[int(part) if place % 2 else part for place, part in enumerate(_DIGITS.split(step))] for step in name.split("/")]


def steps_of(name: str) -> list[str]:
    """Return the steps of a relative path or pattern; raise `ValueError` when it could lead out of the folder."""
    steps = name.split("/")
    if not name or "\0" in name or any(step in ("", ".", "..") for step in steps):
        raise ValueError(f"{name!r} is not a name inside the work folder")
    return steps


def is_match(name: str, pattern: str) -> bool:
    """Say whether `Harvest.find` finds a regular file of this name by this glob."""
    steps, wanted = name.split("/"), steps_of(pattern)
    return len(steps) == len(wanted) and all(map(_is_step, steps, wanted))


def _is_step(name: str, step: str) -> bool:
    if not any(sign in step for sign in "*?["):
        return name == step
    return fnmatch.fnmatchcase(name, step) and (step.startswith(".") or not name.startswith("."))


class Harvest:
    """The work folder of an ended program; nothing in it changes any more. Names are relative to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, pattern: str) -> list[str]:
        """Return the regular files that match a glob, in natural order; raise `ValueError` for a pattern that leads out.

        Links, FIFOs, sockets and devices are never matched, folders that are links never entered.
        """
        matches = [name for name, mode in self._walk("", steps_of(pattern)) if stat.S_ISREG(mode)]
        return sorted(matches, key=natural_key)

    def instead(self, pattern: str) -> str:
        """Return, for a message, what matches but is not a regular file: "x is a symbolic link", or ""."""
        for name, mode in self._walk("", steps_of(pattern)):
            kind = _KINDS.get(stat.S_IFMT(mode))
            if kind is not None:
                return f"{name} is {kind}"
        return ""

    def text(self, name: str, limit_bytes: int = READ_LIMIT_BYTES) -> str:
        """Return a file as text, of a long one the last `limit_bytes`; raise `OSError`, `ValueError`."""
        return self.read(name, limit_bytes).decode("utf-8", "replace")

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Return the last `limit_bytes` of a regular file; raise `OSError`, `ValueError`."""
        steps_of(name)
        descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{name} is not a regular file")
            if status.st_size > limit_bytes:
                file.seek(status.st_size - limit_bytes)
            return file.read(limit_bytes)

    def search(self, source: str, pattern: str) -> str | None:
        """Return the first group (without groups: the match) of a regular expression in `source`, or None.

        Raises `ValueError` for a wrong expression, `OSError` when `source` is not there.
        """
        match = compile_pattern(pattern).search(self.text(source))
        if match is None:
            return None
        return match.group(1) if match.re.groups and match.group(1) is not None else match.group(0)

    def tail(self, stream: str) -> str:
        """Return the last lines of "stdout" or "stderr"; "" when there is nothing."""
        try:
            if os.lstat(f"{self.folder}/{stream}").st_size == 0:
                return ""
            text = self.text(stream, TAIL_BYTES)
        except (OSError, ValueError):
            return ""
        return "\n".join(text.splitlines()[-TAIL_LINES:])

    def _walk(self, prefix: str, steps: list[str]) -> Iterator[tuple[str, int]]:
        """Yield (name, mode) of what matches the glob `steps` below `prefix`."""
        step, rest = steps[0], steps[1:]
        try:
            names = self._names(prefix, step)
            for name in names:
                mode = os.lstat(self.folder / prefix / name).st_mode
                path = f"{prefix}/{name}" if prefix else name
                if not rest:
                    yield path, mode
                elif stat.S_ISDIR(mode):
                    yield from self._walk(path, rest)
        except OSError:
            return  # not there, or the program took away the right to look

    def _names(self, prefix: str, step: str) -> list[str]:
        if not any(sign in step for sign in "*?["):
            return [step] if os.path.lexists(self.folder / prefix / step) else []
        with os.scandir(self.folder / prefix) as entries:
            names = [entry.name for entry in entries]
        if not step.startswith("."):
            names = [name for name in names if not name.startswith(".")]
        return [name for name in names if fnmatch.fnmatchcase(name, step)]
