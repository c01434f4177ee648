"""Messages to bytes and back: strict JSON, bounded depth."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from copernicus.errors import TooLarge, UsageError
from copernicus.model.secret import Secret
from copernicus.model.values import half_character

MAX_DEPTH = 100
T = TypeVar("T")


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"{type(value).__name__} is no part of a message")


def _conceal(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is object:
        return value
    raise ValueError("Expected `str`")


_encoder = msgspec.json.Encoder(enc_hook=_reveal)
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def encode(message: Any) -> bytes:
    """Return `message` (a struct, or plain data) as JSON; raise `UsageError` for a text that is none."""
    try:
        return _encoder.encode(message)
    except UnicodeEncodeError as error:
        wrong = half_character(error.object)
        raise UsageError(f"In {error.object[:60]!r} {wrong}.", "Write the text in UTF-8.") from None


def decode(body: bytes, kind: type[T]) -> T:
    """Return the message of type `kind` in `body`; raise `UsageError` that names the wrong member."""
    check_depth(body)
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=_conceal)
    try:
        return decoder.decode(body)  # type: ignore[no-any-return]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The message is not a valid {getattr(kind, '__name__', 'message')}: {error}.") from None


def check_depth(body: bytes) -> None:
    """Raise `TooLarge` when brackets nest deeper than `MAX_DEPTH` (the JSON reader would overflow its stack)."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    is_in_string = is_escaped = False
    for byte in body:
        if is_in_string:
            if is_escaped:
                is_escaped = False
            elif byte == 0x5C:
                is_escaped = True
            elif byte == 0x22:
                is_in_string = False
        elif byte == 0x22:
            is_in_string = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > MAX_DEPTH:
                raise TooLarge(f"The message nests deeper than {MAX_DEPTH} levels.")
        elif byte in (0x5D, 0x7D):
            depth -= 1
