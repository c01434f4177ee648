"""What all messages have in common, and the two answers that any request can get."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=False, omit_defaults=True):
    """Base of all messages; unknown members are ignored, so that a newer peer can say more."""


class ErrorReply(Message, frozen=True):
    """What every failed request is answered with; `code` finds the class in `copernicus.errors`.

    `seq` belongs to a conflict: the newest transaction that was looked at for it.
    """

    code: str
    message: str
    hint: str = ""
    seq: int = 0


class Done(Message, frozen=True):
    """It was done; `note` is for a person."""

    note: str = ""
