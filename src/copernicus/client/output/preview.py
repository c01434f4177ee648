"""Previews for people: what would follow from a change, the certain before the possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from copernicus.client.output.text import clean, columns, duration, wrapped
from copernicus.wire import messages as m

SHOWN = 8


def lines(reply: m.PreviewReply) -> Iterator[str]:
    """Return the lines that say what would follow."""
    if not reply.is_change:
        yield "Nothing would change."
        return
    yield "This would follow; nothing was changed:"
    found = False
    for title, items in _parts(reply):
        if items:
            found = True
            yield from wrapped(f"  {title}: {_list(items)}", columns())
    if not found:
        yield "  nothing is evaluated anew, no controller is called, and no job ends"
    for remark in reply.remarks:
        yield from wrapped(f"  {remark}", columns())


def _parts(reply: m.PreviewReply) -> Iterator[tuple[str, list[str]]]:
    lost = sum(row.core_s for row in reply.ending)
    yield "evaluated anew", reply.certain
    yield "perhaps evaluated anew, as results turn out", reply.possible
    yield "results that stand again", [f"{path} (job {job})" if job else path for path, job in reply.standing.items()]
    yield f"jobs that end, with {duration(lost)} of core time spent in them", _jobs(reply.ending)
    yield "jobs that stop, with a checkpoint to go on from", _jobs(reply.stopping)
    yield "jobs that may end later", _jobs(reply.may_end)
    yield "jobs that are kept", _jobs(reply.kept)
    yield "jobs that go on where they were left", _jobs(reply.resumed)
    yield "controllers that are called (what they answer is not known)", reply.calls
    yield "controllers that are called when something ends", reply.later_calls
    yield "in error", [f"{path}: {clean(error).splitlines()[0]}" for path, error in reply.errors.items()]


def _jobs(rows: Sequence[m.PreviewedJob]) -> list[str]:
    return [f"{row.job} of {row.path} ({row.state}, {duration(row.core_s)} of core time)" for row in rows]


def _list(items: Sequence[str]) -> str:
    shown = ", ".join(items[:SHOWN])
    return f"{shown} and {len(items) - SHOWN} more" if len(items) > SHOWN else shown
