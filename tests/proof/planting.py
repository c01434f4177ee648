"""Bugs planted into real programs that are started with `planted`'s environment: each is one that a part must catch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.house.source import ROOT

VARIABLE = "PROOF_BUG"
_HOOK = f"""import os, sys
if any(word.endswith(("cpc-worker", "copernicus.server")) for word in sys.orig_argv):
    sys.path.append({str(ROOT)!r})
    from tests.proof.planting import BUGS
    BUGS[os.environ[{VARIABLE!r}]]()
    sys.path.remove({str(ROOT)!r})
"""


def planted(bug: str, folder: Path) -> dict[str, str]:
    """The environment of programs that shall have `bug`; `folder` is made for the hook that Python runs when it starts."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HOOK)
    return {"PYTHONPATH": str(folder), VARIABLE: bug}


def drop_what_was_not_delivered() -> None:
    """The worker forgets results that it could not deliver at the first attempt."""
    from copernicus.worker.exchange import Exchange

    once = Exchange._round

    def once_only(self: Any) -> bool:
        is_answered = once(self)
        if not is_answered and self._pending is not None:
            pending, self._pending = self._pending, None
            self._desk.settle(pending.ask, [])
            for ended in pending.packed:
                self._drop(ended.report.job, ended.report.attempt)
        return is_answered

    Exchange._round = once_only  # type: ignore[method-assign]


def forget_answers() -> None:
    """The server remembers no answers: a request that is repeated is a new one."""
    from copernicus.server.storage.sqlite.book import SqliteBook

    SqliteBook.answer = lambda self, request_id, who: None  # type: ignore[method-assign]


def throw_cut_uploads_away() -> None:
    """The server throws what there is of an upload away when it is asked how much there is: after each cut."""
    from copernicus.server.http.files import Files

    status = Files.status

    async def forgetful(self: Any, request: Any) -> Any:
        for blob in request.blobs:
            if not self.folder.has(blob):
                self.folder._forget(blob)
        return await status(self, request)

    Files.status = forgetful  # type: ignore[method-assign]


def acknowledge_failed_commits() -> None:
    """The server says that a commit is durable although the disk refused it."""
    from copernicus.server.storage.sqlite.book import SqliteBook

    commit = SqliteBook._commit

    def commit_hopefully(self: Any, units: Any) -> None:
        with contextlib.suppress(Exception):
            commit(self, units)

    SqliteBook._commit = commit_hopefully  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    "undelivered results dropped": drop_what_was_not_delivered,
    "idempotency pruned early": forget_answers,
    "cut uploads thrown away": throw_cut_uploads_away,
    "acknowledge in spite of a failed commit": acknowledge_failed_commits,
}
