"""What happened, for people: versions of a place, where a value came from, step by step back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from copernicus.client.output import text
from copernicus.model.counts import counted
from copernicus.wire import messages as m

CAUSES = {"UndoRequested": ", by an undo", "PurgeRequested": ", by a purge", "ProjectLoaded": ", by loading an archive"}
"""What a person did other than to edit."""


def versions(reply: Sequence[m.Version], path: str, left: str = "") -> Iterator[str]:
    """Yield a table of versions, the oldest first; `left` says what is not shown."""
    if left:
        yield left
    if not reply:
        yield f"Nothing was ever written at {text.clean(path)}."
        return
    head = ("SEQ", "TIME", "PLACE", "WHAT", "FROM")
    cells = [
        (str(one.seq), text.moment(one.time), "" if one.path == path else one.path, happened(one), origin(one))
        for one in reversed(reply)
    ]
    yield from text.table(head, cells, right="SEQ")


def happened(version: m.Version) -> str:
    """Return what happened to a place, in a few words."""
    match version.event:
        case "connected":
            return f"shows {version.source}"
        case "disconnected":
            return f"disconnected, keeps {version.text}" if version.value is not None else "disconnected"
        case "shortened":
            return f"shortened to {counted(int(version.value), 'element')}"
        case "widened":
            return f"has {counted(int(version.value), 'element')}"
        case "forgotten":
            return "forgotten, to begin anew"
        case "removed":
            return "removed with its instance"
    words = version.text or ("no value" if version.event == "result" else "unset")
    return f"{words} (the same again)" if version.is_same and version.value is not None else words


def origin(version: m.Version) -> str:
    """Return where a version came from, in a line."""
    one = version.origin
    match one.kind:
        case "user":
            return f"{one.who}{CAUSES.get(version.cause, '')}"
        case "call":
            words = f"{one.path} ({one.function})"
        case "constant":
            words = f"fixed in {one.path} ({one.function})"
        case "job":
            words = _job(one)
        case _:
            return "the server"
    return words + _reused(one)


def _job(one: m.Origin) -> str:
    where = f" on {one.hostname}" if one.hostname else ""
    worker = f" (worker {one.worker})" if one.worker else ""
    program = f", {one.executable} {one.version}".rstrip() if one.executable else ""
    before = f", from the checkpoint of job {one.extends}" if one.extends else ""
    number = "a job elsewhere" if one.job is None else f"job {one.job}"
    return f"{number}, attempt {one.attempt}{where}{worker}{program}, {text.duration(one.core_s)} of a core{before}"


def _reused(one: m.Origin) -> str:
    if not one.is_reused:
        return ""
    when = f" at {text.moment(one.filed_at)}" if one.filed_at is not None else ""
    return f"; it stands again, made{when}" if one.made_for == one.path else f"; made for {one.made_for}{when}"


def standing(found: Sequence[m.Version], path: str) -> Iterator[str]:
    """Yield what makes up the value at a place, a line for each version."""
    for one in found:
        where = "" if one.path == path else f"{one.path}: "
        when = f"{text.moment(one.time)} (transaction {one.seq})"
        yield from text.fitting(f"  {where}{happened(one)}, from {origin(one)}, {when}")


def provenance(reply: m.ProvenanceReply) -> Iterator[str]:
    """Yield the way back as a tree: below each place what its value was made from."""
    seen: set[int] = set()
    stack = [(0, 0)]
    while stack:
        index, depth = stack.pop()
        step, indent = reply.steps[index], "  " * depth
        shown = f"{step.shown_at} = {step.path}" if step.shown_at != step.path else step.path
        if index in seen:
            yield from text.fitting(f"{indent}{shown}: see above")
            continue
        seen.add(index)
        stale = " (stale: it is being made anew)" if step.is_stale else ""
        lines = [_at(one, step.path) for one in step.versions]
        yield from text.fitting(f"{indent}{shown}{stale}" + (f": {lines[0]}" if len(lines) == 1 else ""))
        if len(lines) > 1:
            for line in lines:
                yield from text.fitting(f"{indent}    {line}")
        stack += [(source, depth + 1) for source in reversed(step.sources)]
    yield from (text.clean(note) for note in reply.notes)


def _at(version: m.Version, path: str) -> str:
    where = "" if version.path == path else f"{version.path} "
    return f"{where}{happened(version)}, from {origin(version)}"
