"""Messages about connection bundles. Reached through `wire.messages`."""

from __future__ import annotations

from typing import Literal

from copernicus.model.secret import Secret
from copernicus.wire.message import Message

BundleRole = Literal["admin", "client", "worker"]


class BundlesRequest(Message, frozen=True):
    """The bundles that were made for the caller, or all of them for a super user."""


class BundleListing(Message, frozen=True):
    """A bundle without its key. Times are Unix times; `revoked_at` None: valid until `expires_at`; `renews`: renews itself."""

    serial: str
    role: str
    acts_for: str
    projects: list[str] = []
    created_at: float = 0.0
    expires_at: float = 0.0
    revoked_at: float | None = None
    renews: bool = False


class BundlesReply(Message, frozen=True):
    """Bundles, the newest last."""

    bundles: list[BundleListing]


class IssueBundleRequest(Message, frozen=True):
    """Make a bundle of the role `kind` for the caller, or as a super user for the user `acts_for`.

    `days` 0: its usual life, after which it renews itself; any other life is final. Nobody makes one that reaches further
    than the caller: only super users make admin bundles, and a bundle makes none that outlives it.
    """

    kind: BundleRole = "worker"
    projects: list[str] = []
    days: float = 0.0
    acts_for: str = ""


class BundleReply(Message, frozen=True):
    """A bundle with its key, as it is to be written to a private file (JSON)."""

    bundle: Secret


class RevokeBundleRequest(Message, frozen=True):
    """Revoke a bundle for good: one's own, or as a super user any. Its open connections are cut."""

    serial: str


class RenewBundleRequest(Message, frozen=True):
    """Renew the bundle with which this is sent: the same serial, a new key and certificate, a new life."""
