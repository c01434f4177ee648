"""Connection bundles of a server: `client.bundles`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.net.bundle import Bundle
    from copernicus.net.caller import Caller


class Bundles:
    """The bundles that act for the caller, or all of them for a super user.

    Raise `NotAllowed` for one that would reach further than the caller, `UnknownPath` for a serial, project or user that is
    not there.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self) -> list[m.BundleListing]:
        """Return the bundles, without their keys, the newest last; revoked and expired ones too."""
        return self._caller.call(m.BundlesRequest()).bundles

    def issue(
        self, role: m.BundleRole = "worker", projects: Sequence[str] = (), *, days: float = 0.0, acts_for: str = ""
    ) -> Bundle:
        """Make a bundle, for `copernicus.net.bundle.write_bundle`. With `days` 0 it renews itself, else its end is final."""
        import msgspec

        from copernicus.net.bundle import Bundle

        reply = self._caller.call(m.IssueBundleRequest(role, [*projects], days, acts_for))
        return msgspec.json.decode(reply.bundle.reveal(), type=Bundle)

    def revoke(self, serial: str) -> str:
        """Revoke a bundle for good; return the server's note."""
        return self._caller.call(m.RevokeBundleRequest(serial)).note
