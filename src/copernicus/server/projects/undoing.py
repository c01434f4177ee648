"""Undo: which transaction is taken back, whether another one is in the way, and what is told about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from msgspec.structs import replace

from copernicus.dataflow.facts import Fact, Renamed
from copernicus.dataflow.restoring import STAYS
from copernicus.dataflow.taking_back import Done, Undoing, is_undone
from copernicus.errors import Refused
from copernicus.model.values import files_in
from copernicus.server.projects.past import Past
from copernicus.server.projects.wording import ago, happened
from copernicus.wire import messages as m

BY_EDITS, BY_UNDO = "EditsRequested", "UndoRequested"
SHOWN = 5
CONTROLLERS_GO_ON = (
    "Controllers are not turned back: they are called with what stands then and with the memory that they have now, and what "
    "they have made stays."
)


async def find_undo(past: Past, seq: int | None, now: float) -> Undoing:
    """Find what is to be taken back and what stood before; raise `Refused` with the reason why it cannot be taken back.

    When this returns, nothing has happened to the project since it looked, as long as the caller does not wait.
    """
    is_last, seq = seq is None, await _last(past) if seq is None else seq
    _refuse_what_is_no_edit(past, seq, now)
    undoing = Undoing(seq, await past.project.network_before(seq))
    records = await past.stored(undoing.network.seq)
    await asyncio.to_thread(_read, undoing, [data for _, data in records])
    await catch_up(past, undoing, now)
    if is_last and not undoing.claim.facts() and not undoing.is_upgrade:
        raise Refused(f"Transaction {seq} left nothing that could be taken back. {STAYS}", await _before(past, seq))
    return undoing


async def catch_up(past: Past, undoing: Undoing, now: float) -> None:
    """Read what has happened meanwhile; raise `Refused` when it is in the way."""
    while undoing.network.seq < past.network.seq:
        _read(undoing, [data for _, data in await past.stored(undoing.network.seq)])
    _refuse_what_is_no_edit(past, undoing.seq, now)
    clash = undoing.clash()
    if clash is not None:
        raise Refused(
            f"Transaction {undoing.seq} cannot be taken back: {happened(clash.fact, undoing.name)} by {_who(clash.done, now)}.",
            f"First take that one back: cpcc undo {clash.done.seq}",
        )


def _read(undoing: Undoing, records: Iterable[bytes]) -> None:
    for data in records:
        undoing.read(data)


async def _last(past: Past) -> int:
    async for seq in _standing(past):
        return seq
    raise Refused("There is no transaction that could be taken back.")


async def _before(past: Past, seq: int) -> str:
    """Say which transaction is the one before `seq`: whoever wants that one back shall say so."""
    async for one in _standing(past):
        if one < seq:
            return f"To take back the one before it: cpcc undo {one}"
    return ""


async def _standing(past: Past) -> AsyncIterator[int]:
    """The transactions of people that are not taken back, the newest first."""
    undos = past.network.undos
    async for record in past.records(0, lambda: None):
        if record.cause == BY_EDITS and record.seq not in undos and not is_undone(undos, record.seq):
            yield record.seq


def _refuse_what_is_no_edit(past: Past, seq: int, now: float) -> None:
    record = past.record(seq)
    if record is None:
        raise Refused(f"There is no transaction {seq}: the last one is {past.network.seq}.", "cpcc history names transactions.")
    if record.cause not in (BY_EDITS, BY_UNDO):
        raise Refused(f"Transaction {seq} is not one that a person made: it followed from others.")
    undos = past.network.undos
    if is_undone(undos, seq):
        by = next(one for one, target in undos.items() if target == seq and not is_undone(undos, one))
        undo = past.record(by)
        who = f" by {undo.actor} {ago(now - undo.time)}" if undo is not None else ""
        raise Refused(f"Transaction {seq} was taken back already{who} (transaction {by}).", f"Do it again with: cpcc undo {by}")


def told(undoing: Undoing, now: float) -> list[str]:
    """Lines about what is taken back."""
    done = undoing.done
    if done is None:
        return []
    facts = undoing.claim.facts()
    what = [_written(fact, undoing) for fact in facts[:SHOWN]]
    what += [f"and {len(facts) - SHOWN} more"] if len(facts) > SHOWN else []
    undone = f", which took back transaction {done.undoes}," if done.undoes is not None else ""
    return [f"transaction {done.seq}{undone} of {done.actor}, {ago(now - done.time)}: {'; '.join(what)}"]


def _written(fact: Fact, undoing: Undoing) -> str:
    """What a fact wrote; of a rename, the name before it."""
    was = undoing.before.names.get(fact.id) if isinstance(fact, Renamed) else None
    return f"{was} was renamed to {fact.name}" if isinstance(fact, Renamed) and was else happened(fact, undoing.name)


def refuse_what_is_gone(undoing: Undoing, has: Callable[[str], bool]) -> None:
    """Raise `Refused` when a file that comes back was given up for good; `has` says whether a blob is here."""
    before = undoing.before
    for value in (*before.values.values(), *(one.values for one in before.instances)):
        for file in files_in(value):
            if not has(file.blob):
                raise Refused(
                    f"Transaction {undoing.seq} cannot be taken back: the content of {file.name} was given up (purge)."
                )


def _who(done: Done, now: float) -> str:
    return f"{done.actor} {ago(now - done.time)} (transaction {done.seq})"


def with_remark(found: m.PreviewReply, undoing: Undoing) -> m.PreviewReply:
    """The preview of an undo, with what is to be said where controllers are concerned."""
    kinds = {one.schema.kind for one in undoing.before.instances}
    is_concerned = bool(found.calls or found.later_calls) or "controller" in kinds
    return replace(found, remarks=[CONTROLLERS_GO_ON]) if is_concerned else found
