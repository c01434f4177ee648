"""Findings: what is wrong with stored data, and what to do, one line each; and what was looked at."""

from __future__ import annotations

import msgspec

from copernicus.errors import CopernicusError

RESTORE = "Restore a backup: cpc-server restore"


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: where, what, and what to do."""

    what: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"{self.what}: {self.problem} {self.hint}".rstrip()


class Inspection(msgspec.Struct):
    """What was looked at, and what is wrong with it."""

    findings: list[Finding] = []
    projects: int = 0
    records: int = 0
    jobs: int = 0
    files: int = 0
    bytes: int = 0

    def add(self, what: object, problem: str, hint: str = RESTORE) -> None:
        """Note something that is wrong."""
        self.findings.append(Finding(str(what), problem, hint))

    def add_error(self, what: object, error: CopernicusError) -> None:
        """Note an error that says itself what to do."""
        self.findings.append(Finding(str(what), error.message, error.hint))
