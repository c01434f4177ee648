"""What is said about taking transactions back. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from copernicus.wire.message import Message
from copernicus.wire.preview_messages import PreviewReply


class UndoRequest(Message, frozen=True):
    """Take back one transaction that a person made, by default the last one that is not taken back.

    With `is_preview` nothing is changed. The same `request_id` again gives the same answer and one effect.
    """

    project: str
    seq: int | None = None
    request_id: str = ""
    is_preview: bool = False


class UndoReply(Message, frozen=True):
    """`undone` is the transaction that was taken back, by transaction `seq` (None: a preview); `told` are lines about it."""

    seq: int | None
    undone: int
    told: list[str]
    preview: PreviewReply | None = None
