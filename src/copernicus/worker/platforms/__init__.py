"""Where jobs run: this host, an allocation."""

from __future__ import annotations

from typing import Protocol

from copernicus.worker.processes import Launch, Process


class Platform(Protocol):
    """A place with cores. `launcher` starts a program on cores that were claimed; entry point `copernicus.platforms`."""

    name: str
    cores: int

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

    def close(self) -> None:
        """End everything that still runs."""
        ...
