"""Listings for people: instances, places, status, log, modules, functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from copernicus.client.output import text
from copernicus.client.output.card import card
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema
from copernicus.wire import messages as m

_ERROR = re.compile(r"\b(\w*Error|error|ERROR)\b")


def place(reply: m.ListReply) -> Iterator[str]:
    """Yield what `cpcc ls` says."""
    if reply.kind == "project":
        yield from instances(reply.instances) or [
            "There are no instances. Make one with: cpcc import MODULE, cpcc instance MODULE::FUNCTION NAME"
        ]
    elif reply.kind == "instance" and reply.instances:
        yield from _instance(reply.instances[0], reply.instances[1:], reply.places)
    else:
        yield from places(reply.places) or [f"There is nothing at {reply.path}."]


def instances(rows: Sequence[m.InstanceRow], indent: str = "") -> list[str]:
    """Return a table of instances."""
    head = ("INSTANCE", "FUNCTION", "STATE", "INSIDE", "WHY")
    return text.table(head, [(row.path, row.function, state(row), text.counts(row.below), _brief(row)) for row in rows],
                      indent=indent)  # fmt: skip


def state(row: m.InstanceRow) -> str:
    """Return the state of an instance, with that of its job where it has one."""
    return f"{row.state} (job {row.job} {row.job_state or ''}".rstrip() + ")" if row.job is not None else row.state


def _brief(row: m.InstanceRow) -> str:
    """Reason, note and warning of one instance among many, in a line each."""
    why = "" if row.state == "running" and row.below else row.why  # what runs inside stands beside it
    return "\n".join(_gist(words) for words in (why, row.note, row.warning and f"warning: {row.warning}") if words)


def _gist(words: str) -> str:
    """The first line of `words`, with the last one in which a program speaks of an error; "…" when there is more."""
    first, *rest = [line.strip() for line in words.splitlines() if line.strip()] or [""]
    errors = [place for place, line in enumerate(rest) if _ERROR.search(line)]
    if not errors:
        return f"{first} …" if rest else first
    said = rest[errors[-1]]
    return f"{first} {said} {' '.join(rest[errors[-1] + 1 :][:1])}".rstrip() if said.endswith(":") else f"{first} {said}"


def places(rows: Sequence[m.PlaceRow], indent: str = "") -> list[str]:
    """Return a table of places."""
    head = ("PLACE", "TYPE", "VALUE", "FROM", "")
    cells = [(row.path, row.type, row.text or text.ABSENT, row.source, _mark(row)) for row in rows]
    return text.table(head, cells, indent=indent)


def _mark(row: m.PlaceRow) -> str:
    if row.provisional is not None:
        return provisional(row.provisional, row.type)
    return "stale" if row.is_stale else ""


def provisional(found: m.ProvisionalValue, kind: str) -> str:
    """Return what an output was with the last checkpoint of a job that has not ended, marked as that."""
    progress = f", {text.clean(found.progress)}" if found.progress else ""
    value = text.value(found.value, kind)
    return f"provisional (job {found.job}, attempt {found.attempt}, {text.moment(found.at)}{progress}): {value}"


def _instance(itself: m.InstanceRow, children: Sequence[m.InstanceRow], rows: Sequence[m.PlaceRow]) -> Iterator[str]:
    yield f"{itself.path}  {itself.function}  {text.paint(state(itself))}"
    for title, line in (("why", itself.why), ("note", itself.note), ("warning", itself.warning)):
        if line:
            first, *rest = text.fitting(line, " " * len(f"  {title}: "))
            yield f"  {title}: {first.lstrip()}"
            yield from rest
    if itself.since is not None:
        yield f"  since: {text.moment(itself.since)}"
    if itself.below:
        yield f"  inside: {text.counts(itself.below)}"
    if rows:
        yield ""
        yield from places(rows, "  ")
    if children:
        yield ""
        yield from instances(children, "  ")


def status(reply: m.StatusReply) -> Iterator[str]:
    """Yield what `cpcc status` says."""
    yield f"Project {reply.project} (transaction {reply.seq})"
    yield f"  instances: {text.counts(reply.states) or 'none'}"
    yield f"  jobs:      {text.counts(reply.jobs) or 'none'}"
    yield f"  core time: {text.duration(reply.core_s)}"
    if reply.top:
        yield ""
        yield from instances(reply.top)
    top = {row.path for row in reply.top}
    inner = [row for row in reply.errors if row.path not in top]
    if inner:
        yield ""
        yield "In error inside:"
        yield from instances(inner)
    if reply.errors:
        yield ""
        yield f"More about it: cpcc log {reply.errors[0].path}"
        yield f"When it is mended: cpcc clear-error {reply.errors[0].path}"


def log(reply: m.LogReply) -> Iterator[str]:
    """Yield what `cpcc log` says; what stands on the failure card is not said twice."""
    if not reply.entries:
        yield "Nothing has happened yet."
    for place, entry in enumerate(reply.entries):
        yield from text.wrapped(f"{text.moment(entry.time)}  {text.clean(entry.title)}", text.columns(), "    ")
        is_on_card = reply.card is not None and (place == len(reply.entries) - 1 or entry.text == reply.card.why)
        if not is_on_card:
            yield from (f"    {line}" for line in text.clean(entry.text).splitlines())
    if reply.card is not None:
        yield ""
        yield from card(reply.card)


def why(reply: m.WhyReply) -> Iterator[str]:
    """Yield why something is as it is; what stands on the failure card is not said twice."""
    for words in reply.lines:
        if reply.card is not None:
            words = words.partition("\nlast lines of std")[0]
        yield from text.fitting(words)
    if reply.card is not None:
        yield ""
        yield from card(reply.card)


def modules(rows: Sequence[ModuleSchema]) -> list[str]:
    """Return what `cpcc list-modules` says."""
    cells = [
        (row.name, "", f"cannot be loaded: {row.error}") if row.error else (row.name, str(len(row.functions)), _first(row.help))
        for row in rows
    ]
    return text.table(("MODULE", "FUNCTIONS", ""), cells, right="FUNCTIONS") or ["The server has no modules."]


def module(schema: ModuleSchema) -> Iterator[str]:
    """Yield what `cpcc info MODULE` says."""
    yield f"Module {schema.name}"
    yield from _help(schema.help)
    if schema.error:
        yield ""
        yield f"It cannot be loaded: {text.clean(schema.error)}"
    if schema.functions:
        yield ""
        yield from text.table(
            ("FUNCTION", "KIND", ""), [(row.name, row.kind, _first(row.help)) for row in schema.functions], indent="  "
        )


def function(schema: FunctionSchema) -> Iterator[str]:
    """Yield what `cpcc info MODULE::FUNCTION` says."""
    yield f"Function {schema.name} ({schema.kind}{f' of {schema.base}' if schema.base else ''})"
    yield from _help(schema.help)
    for title, fields in (("Inputs", schema.inputs), ("Outputs", schema.outputs), ("State", schema.state)):
        if fields:
            yield ""
            yield f"{title}:"
            head = ("NAME", "TYPE", "DEFAULT" if title == "Inputs" else "", "")
            yield from text.table(head, [_field(field, title == "Inputs") for field in fields], indent="  ")


def _field(field: Field, is_input: bool) -> tuple[str, str, str, str]:
    default = ""
    if is_input:
        default = "(optional)" if field.kind.is_optional else "(required)"
        if field.default is not None:
            default = json.dumps(field.default, ensure_ascii=False)
    return field.name, field.type, default, field.help


def _help(words: str) -> Iterator[str]:
    if words.strip():
        yield ""
        yield from (f"  {line}".rstrip() for line in text.clean(words.strip()).splitlines())


def _first(words: str) -> str:
    return words.strip().splitlines()[0] if words.strip() else ""
