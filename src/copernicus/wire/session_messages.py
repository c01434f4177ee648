"""Messages of first contact, of logging in and out, and about the server itself. Reached through `wire.messages`."""

from __future__ import annotations

from copernicus.model.secret import Secret
from copernicus.wire.message import Message


class AuthorityRequest(Message, frozen=True):
    """First contact: ask for the server's CA certificate. The caller compares its fingerprint before any trust."""


class AuthorityReply(Message, frozen=True):
    """The CA certificate (PEM), and the port for workers and other servers (0: not said)."""

    certificate: str
    secure_port: int = 0


class ServerInfoRequest(Message, frozen=True):
    """Who are you?"""


class ServerInfoReply(Message, frozen=True):
    """`fingerprint` (SHA-256 of the CA certificate, hex) is the server's identity."""

    hostname: str
    fingerprint: str
    version: str
    protocol: int
    client_port: int
    secure_port: int
    user: str
    started_at: float
    projects: int = 0
    workers: int = 0


class LoginRequest(Message, frozen=True):
    """Open a session (client port only)."""

    user: str
    password: Secret


class LoginReply(Message, frozen=True):
    """The token goes into the `Authorization: Bearer` header of later requests; `expires_at` is Unix time."""

    token: Secret
    user: str
    expires_at: float


class LogoutRequest(Message, frozen=True):
    """End this session."""
