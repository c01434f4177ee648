"""Messages to the server's own program: stop, read the settings again."""

from __future__ import annotations

from copernicus.wire.message import Message


class StopServerRequest(Message, frozen=True):
    """Stop the server, in good order. Super users only."""


class ReadSettingsRequest(Message, frozen=True):
    """Read the server's settings file again. Super users only."""


class ReadSettingsReply(Message, frozen=True):
    """Settings that differ from those in use: `changed` hold from now on, `later` from the next start on."""

    changed: dict[str, str] = {}
    later: dict[str, str] = {}
