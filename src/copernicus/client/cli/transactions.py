"""Transactions of `cpcc`: changes are staged in the client, checked one by one, and committed all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from copernicus.client import memory
from copernicus.client.api import new_request_id
from copernicus.client.cli.context import Context, change_command, command, pass_context
from copernicus.client.output import sentences
from copernicus.client.output.text import clean
from copernicus.errors import Conflict, CopernicusError, Refused, Unavailable
from copernicus.model.counts import counted
from copernicus.model.edits import Edit

if TYPE_CHECKING:
    from copernicus.client.staging import Staged

REUSE_S = 0.25
"""How long an answer may wait to tell which results were there already."""


def make(context: Context, edit: Edit) -> None:
    """Make an edit now, or stage it when a transaction is open.

    A staged edit is checked with all that stand before it, and refused right away if the commit would be.
    """
    project, staging = context.project, context.staging
    if context.is_preview:
        show_preview(context, [*staged_before(context), edit])
        return
    if staging.load() is None:
        reply = project.apply([edit], wait_s=REUSE_S)
        context.show(reply, lambda: [sentences.done(edit, "".join(reply.told)), *map(clean, reply.reused)])
        return
    with memory.locked():
        before = staging.opened()
        reply = project.apply([*before.edits, edit], is_check=True)
        told = reply.told[-1]
        staged = staging.add(edit, seq=reply.project_seq)
    words = sentences.staged(edit, told)
    context.show({"staged": len(staged.edits), "told": [told]}, lambda: [f"Staged ({len(staged.edits)}): {words}"])


def check(context: Context, edit: Edit) -> None:
    """Raise what would refuse `edit` now, with all that is staged before it; nothing is changed or staged."""
    context.project.apply([*staged_before(context), edit], is_check=True)


def staged_before(context: Context) -> list[Edit]:
    """Return the edits of the open transaction, none when there is no such thing."""
    staged = context.staging.load()
    return list(staged.edits) if staged else []


def show_preview(context: Context, edits: list[Edit]) -> None:
    """Say what would follow from edits; nothing is changed or staged."""
    from copernicus.client.output import preview

    reply = context.project.preview(edits)
    context.show(reply, lambda: [*sentences.beforehand(edits, reply.told), *preview.lines(reply)])


@command("transact")
@pass_context
def transact_command(context: Context) -> None:
    """Open a transaction: the changes that follow are collected, and take effect at the commit, all at once.

    Inside of an open transaction, set a savepoint: the next rollback goes back to it, the next commit ends it.
    """
    with memory.locked():
        staged = context.staging.begin()

    def lines() -> list[str]:
        if staged.depth > 1:
            return [f"Savepoint {staged.depth - 1} after {_edits(len(staged.edits))}. rollback returns to it, commit ends it."]
        return [f"A transaction is open in project {staged.project}. Changes wait for: cpcc commit (or cpcc rollback)"]

    context.show(_plain(staged), lines)


@change_command("commit")
@pass_context
def commit_command(context: Context) -> None:
    """Make all changes of the open transaction, or, when one of them is refused, none; then it stays open.

    What somebody else has written since a change was put on the list is told once; the same commit again goes through.
    """
    if context.is_preview:
        show_preview(context, list(context.staging.opened().edits))
        return
    with memory.locked():
        staged = context.staging.opened()
        if staged.depth > 1:
            staged = context.staging.release()
            said = f"The savepoint is gone; {_edits(len(staged.edits))} wait for the commit."
            context.show(_plain(staged), lambda: [said])
            return
        if not staged.edits:
            context.staging.forget()
            context.show({"seq": None, "told": []}, lambda: ["Nothing changed."])
            return
        staged = context.staging.name_request(new_request_id())
        try:
            stamps = staged.stamps if len(staged.stamps) == len(staged.edits) else ()
            reply = context.project.apply(staged.edits, request_id=staged.request_id, stamps=stamps, wait_s=REUSE_S)
        except Unavailable:
            raise  # it may have arrived: the same commit again has one effect
        except Conflict as conflict:
            context.staging.stamp(conflict.seq)
            raise
        except CopernicusError as error:
            context.staging.forget_request()
            if len(staged.edits) == 1:  # of several the server says which one it was
                error.message = f"{sentences.staged(staged.edits[0], '')}: {error.message}"
            still = "Nothing was changed; the transaction is still open (cpcc rollback forgets it)."
            error.hint = f"{error.hint.rstrip('.')}. {still}" if error.hint else still
            raise
        context.staging.forget()
    told = [sentences.done(edit, line) for edit, line in zip(staged.edits, reply.told, strict=False) if line]
    last = f"Committed {_edits(len(staged.edits))}." if reply.seq is not None else "Nothing changed."
    context.show(reply, lambda: [*told, last, *map(clean, reply.reused)])


@command("rollback")
@pass_context
def rollback_command(context: Context) -> None:
    """Forget the changes since the last transact."""
    with memory.locked():
        before = context.staging.opened()
        left = context.staging.roll_back()
    forgotten = len(before.edits) - (len(left.edits) if left else 0)
    still = f" Still staged: {_edits(len(left.edits))}." if left else ""
    context.show(
        {"forgotten": forgotten, "staged": len(left.edits) if left else 0},
        lambda: [f"Forgot {_edits(forgotten)}.{still}"],
    )


@change_command("undo")
@click.argument("seq", type=click.IntRange(min=1), required=False, metavar="[SEQ]")
@pass_context
def undo_command(context: Context, seq: int | None) -> None:
    """Take back transaction SEQ of a person, by default the last one that is not taken back: values, connections,
    instances, names and held marks are again as they were before it.

    Results that were there come back without a new job. Controllers are not turned back. An undo can itself be taken back:
    cpcc undo SEQ, with the number that it tells. `cpcc history PATH` shows the numbers of transactions.
    """
    if context.staging.load() is not None:
        raise Refused("A transaction is open, and undo takes back what was committed.", "First: cpcc commit (or cpcc rollback)")
    if context.is_preview:
        from copernicus.client.output import preview

        found = context.project.preview_undo(seq)
        context.show(found, lambda: [*sentences.undone(found), *(preview.lines(found.preview) if found.preview else ())])
        return
    reply = context.project.undo(seq)
    context.show(reply, lambda: [*sentences.undone(reply), f"Do it again with: cpcc undo {reply.seq}"])


def waiting(context: Context) -> str:
    """Return a line about the open transaction, "" when there is none."""
    staged = context.staging.load()
    return f"A transaction is open: {_edits(len(staged.edits))} staged (cpcc commit, cpcc rollback)." if staged else ""


def _edits(count: int) -> str:
    return counted(count, "change")


def _plain(staged: Staged) -> dict[str, object]:
    return {"project": staged.project, "staged": len(staged.edits), "depth": staged.depth}
