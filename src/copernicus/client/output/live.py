"""The live view of a project: what fits on a screen, or a line for each thing that has changed."""

from __future__ import annotations

from collections.abc import Iterator

from copernicus.client.output import listing, text
from copernicus.client.output.table import table
from copernicus.client.watching import View
from copernicus.model.counts import counted
from copernicus.terminal import width
from copernicus.wire import messages as m

MOST_JOBS = 12


def screen(view: View, columns: int, lines: int, keys: str = "q ends") -> list[str]:
    """Return at most `lines` lines of at most `columns` columns: numbers, instances, what runs, what is wrong."""
    status = view.status
    head = [
        f"Project {status.project} (transaction {status.seq})   {keys}",
        f"instances: {text.counts(status.states) or 'none'}   jobs: {text.counts(status.jobs) or 'none'}   "
        f"core time: {text.duration(status.core_s)}",
        _workers(view.workers),
        *([f"The server is away: {view.away} This is how it was."] if view.away else []),
        "",
    ]
    head = [piece for line in head for piece in (text.wrapped(line, columns, "  ") if line else [""])]
    errors = [row for row in status.errors if row.path not in {one.path for one in view.rows}]
    parts = [_instances(view.rows, columns), _jobs(view.running, columns)]
    if errors:
        parts.append(["In error inside:", *_instances(errors[:5], columns)])
    body = [line for part in parts if part for line in (*part, "")]
    room = max(1, lines - len(head))
    if len(body) > room:
        body = [*body[: room - 1], f"… {len(body) - room + 1} more lines: cpcc ls, cpcc running"]
    return head + body


def _instances(rows: list[m.InstanceRow], columns: int) -> list[str]:
    head = ("INSTANCE", "FUNCTION", "STATE", "INSIDE", "NOTE")
    cells = [(row.path, row.function, listing.state(row), text.counts(row.below), _cut(_said(row), columns)) for row in rows]
    return table(head, cells, room=columns) or ["There are no instances yet."]


def _said(row: m.InstanceRow) -> str:
    """What is worth a line: an error, a warning, what a controller notes, why it waits."""
    why = "" if row.state == "running" and row.below else row.why
    words = why if row.state == "error" else row.warning or row.note or why
    return (words.strip().splitlines() or [""])[-1 if row.state == "error" else 0]


def _jobs(rows: list[m.JobRow], columns: int) -> list[str]:
    head = ("JOB", "INSTANCE", "EXECUTABLE", "HOST", "CORES", "RUNS FOR", "PROGRESS")
    cells = [
        (str(row.job), row.path, row.executable, row.hostname, str(row.cores), text.duration(row.running_s),
         _cut(row.why, columns))
        for row in rows[:MOST_JOBS]
    ]  # fmt: skip
    more = [f"… and {len(rows) - MOST_JOBS} more jobs"] if len(rows) > MOST_JOBS else []
    return [*table(head, cells, right="JOB CORES", room=columns), *more]


def _workers(rows: list[m.WorkerRow]) -> str:
    used, all_cores = sum(row.cores_used for row in rows), sum(row.offer.cores for row in rows)
    return f"workers: {len(rows)}, {used} of {counted(all_cores, 'core')} at work" if rows else "workers: none is there"


def _cut(words: str, columns: int) -> str:
    room = max(20, columns // 2)
    return words if width(words) <= room else words[: room - 1] + "…"


def changed(view: View, before: View | None) -> list[m.InstanceRow]:
    """Return the instances that are shown and differ from before."""
    known = {row.path: row for row in before.rows} if before else {}
    return [row for row in view.rows if known.get(row.path) != row]


def news(view: View, before: View | None) -> Iterator[str]:
    """Yield a line for each thing that has changed, for those who have no screen."""
    if view.away and not (before and before.away):
        yield f"The server is away: {view.away}"
    for row in changed(view, before):
        inside = text.counts(row.below)
        said = _said(row)
        yield f"{row.path}  {listing.state(row)}{f'  ({inside})' if inside else ''}{f'  {text.clean(said)}' if said else ''}"
    if before is not None and view.status.jobs != before.status.jobs:
        yield f"jobs: {text.counts(view.status.jobs)}"
