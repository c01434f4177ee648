"""Metrics in the text form of Prometheus: numbers of the whole server, and no name of a project or user."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping

import psutil
from aiohttp import web

from copernicus.server.http.calls import Rooms

CONTENT_TYPE = "text/plain; version=0.0.4"
STATES = ("blocked", "queued", "leased", "done", "failed", "cancelled")


class Meter:
    """Counts what the server answers. For one event loop."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self._process = psutil.Process()

    def response(self, rooms: Rooms) -> web.Response:
        """Answer with all metrics as they are now."""
        text = "\n".join(self._lines(rooms)) + "\n"
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    def _lines(self, rooms: Rooms) -> Iterator[str]:
        jobs: Counter[str] = Counter()
        names = rooms.projects.names()
        for row in names:
            jobs.update(rooms.dispatch.jobs.counts(row.id))
        lost = sum(worker.is_lost for worker in rooms.dispatch.workers)
        yield from _metric("copernicus_info", "gauge", "The version that runs.", {f'version="{rooms.about.version}"': 1})
        yield from _metric("copernicus_started_seconds", "gauge", "When it was started.", {"": rooms.about.started_at})
        yield from _metric("copernicus_usable", "gauge", "Whether it can be used now.", {"": int(rooms.refusal() is None)})
        yield from _metric("copernicus_projects", "gauge", "Projects.", {"": len(names)})
        yield from _metric("copernicus_jobs", "gauge", "Jobs.", {f'state="{state}"': jobs[state] for state in STATES})
        workers = {'state="living"': len(rooms.dispatch.workers) - lost, 'state="lost"': lost}
        yield from _metric("copernicus_workers", "gauge", "Workers heard of lately.", workers)
        yield from _metric("copernicus_connections", "gauge", "Connections with a caller.", {"": len(rooms.lines)})
        answers = {f'status="{status}"': count for status, count in sorted(self.answers.items())}
        yield from _metric("copernicus_answers_total", "counter", "Answers to requests, by HTTP status.", answers)
        memory, files = self._process.memory_info().rss, self._process.num_fds()
        yield from _metric("process_resident_memory_bytes", "gauge", "Memory of the server itself.", {"": memory})
        yield from _metric("process_open_fds", "gauge", "Open files.", {"": files})
        yield from _metric("process_cpu_seconds_total", "counter", "Time on a processor.", {"": time.process_time()})


def _metric(name: str, kind: str, text: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for label, value in values.items():
        yield f"{name}{{{label}}} {value}" if label else f"{name} {value}"
