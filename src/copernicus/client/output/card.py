"""A failed job on one page, for a person at a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from copernicus.client.output import text
from copernicus.model.counts import counted
from copernicus.wire import messages as m

PLAIN_COLUMNS = 100
_LABEL = 10


def card(found: m.FailureCard) -> Iterator[str]:
    """Yield the lines of a failure card."""
    room = text.columns() or PLAIN_COLUMNS
    yield _rule(f"job {found.job} of {text.clean(found.path)} ", "failed", room)
    yield from _field("why", found.why, room)
    yield from _field("command", shlex.join(found.command), room)
    if found.program:
        yield from _field("program", found.program, room)
    yield ""
    yield from text.table(
        ("ATTEMPT", "HOST", "CORES", "RAN FOR", "ENDED", "KIND"), [_cells(one) for one in found.attempts],
        right="ATTEMPT CORES", indent="  ", room=room,
    )  # fmt: skip
    left_out = found.total - len(found.attempts)
    if left_out > 0:
        yield f"  … and {counted(left_out, 'attempt')} before: cpcc log {found.job}"
    for name, lines in (("stdout", found.stdout), ("stderr", found.stderr)):  # what matters most, nearest to the prompt
        if lines:
            yield ""
            yield f"  {name}, its last lines (attempt {found.printed_by}):"
            pieces = (piece for line in text.clean(lines).splitlines() for piece in _pieces(line))
            yield from (f"  │ {piece}".rstrip() for piece in pieces)
    if not found.printed_by:
        yield ""
        yield "  Nothing is known of what it printed."
    yield ""
    yield "  What to do next:"
    for step in found.next:
        yield from text.wrapped(f"  • {text.clean(step)}", room, "  ")
    yield "─" * room


def _rule(title: str, state: str, room: int) -> str:
    width = len(title) + len(state) + 4
    return f"── {title}{text.paint(state)} {'─' * max(2, room - width)}"


def _field(label: str, words: str, room: int) -> Iterator[str]:
    """A label, and its text in a column of its own."""
    lines = [piece for line in text.clean(words).splitlines() for piece in text.wrapped(line, room - _LABEL - 2)]
    for number, line in enumerate(lines):
        yield f"  {label if number == 0 else '':{_LABEL}}{line}".rstrip()


def _pieces(line: str) -> list[str]:
    """What a program has printed: as it is, or in a terminal in pieces that fit into it."""
    columns = text.columns()
    return text.wrapped(line.expandtabs(), None if columns is None else columns - 4)


def _cells(one: m.CardAttempt) -> tuple[str, ...]:
    ended = one.outcome or "goes on"
    if one.exit_status is not None and one.outcome != "finished":
        ended += f", exit status {one.exit_status}"
    return str(one.attempt), one.hostname or one.worker, str(one.cores), text.duration(one.seconds), ended, one.kind
