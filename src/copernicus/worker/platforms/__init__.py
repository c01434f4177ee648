"""Where jobs run: this host, an allocation."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from copernicus.worker.processes import Launch, Process


class Platform(Protocol):
    """A place with cores, on which programs are started; made with the number of cores to use (None: all)."""

    name: str
    cores: int

    def watch_over(self, worker: str, folder: Path) -> None:
        """From now on, see to it that no program of `worker` outlives it, should it be killed, nor what is in `folder`."""
        ...

    def claim(self, cores: int) -> frozenset[int] | None:
        """Take `cores` cores; return their numbers, or None when this platform does not number its cores."""
        ...

    def release(self, claimed: frozenset[int] | None, cores: int) -> None:
        """Give cores back."""
        ...

    def start(self, launch: Launch) -> Process:
        """Start a program; raise `CannotStart`."""
        ...

    def end(self, pid: int, tag: str) -> bool:
        """End all that is left of a program; return whether nothing of it is left for certain."""
        ...

    def used_bytes(self, pid: int, tag: str, enough: int) -> int:
        """Return how much memory of this host a program uses with all that it started; exact only above `enough`."""
        ...

    def close(self) -> None:
        """End everything that still runs."""
        ...
