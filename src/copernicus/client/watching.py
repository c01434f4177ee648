"""A project as it goes on: looked at again after each of its changes, and every now and then for what jobs say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from copernicus.errors import NotAllowed, Unavailable
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.client.project import Project

REFRESH_S, PAUSE_S, AWAY_S = 2.0, 0.4, 1.0
MOST_ROWS = 500


@dataclass(frozen=True)
class View:
    """How a project stands: numbers, instances, jobs that run, jobs that wait, living workers. `away` says why it is old."""

    status: m.StatusReply
    rows: list[m.InstanceRow]
    running: list[m.JobRow] = field(default_factory=list)
    workers: list[m.WorkerRow] = field(default_factory=list)
    away: str = ""

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing runs, and nothing is about to."""
        jobs = self.status.jobs
        return not self.status.states.get("running") and not any(jobs.get(state) for state in ("queued", "leased"))


def look(project: Project, path: str = "") -> View:
    """Return how the project stands now; with `path` the instances inside of that one, at most 500."""
    status = project.status()
    rows = project.list_page(path, limit=MOST_ROWS).instances if path else status.top
    try:
        workers = [row for row in project.client.workers() if not row.is_lost]
    except NotAllowed:
        workers = []
    return View(status, rows, project.client.running(project.name), workers)


def views(project: Project, path: str = "") -> Iterator[View]:
    """Yield how the project stands, at once and whenever something is different. While the server is away, that is said."""
    seen: View | None = None
    seq = -1
    while True:
        try:
            view = look(project, path)
            seq = view.status.seq
        except Unavailable as error:
            if seen is None:
                raise
            view = View(seen.status, seen.rows, seen.running, seen.workers, error.message)
        if _is_news(view, seen):
            yield view
        seen = view
        if view.away:
            time.sleep(AWAY_S)
            continue
        time.sleep(PAUSE_S)
        try:
            project.changed(seq, REFRESH_S)
        except Unavailable:
            continue


def _is_news(view: View, seen: View | None) -> bool:
    return seen is None or _told(view) != _told(seen)


def _told(view: View) -> tuple[object, ...]:
    """What a person would see change; not how long jobs run, which is always different."""
    jobs = [(row.job, row.attempt, row.why) for row in view.running]
    return view.status, view.rows, view.away, jobs, [(row.offer.worker, row.cores_used) for row in view.workers]
