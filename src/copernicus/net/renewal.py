"""Bundles that renew themselves: asked for with the bundle itself, in the last third of its life."""

from __future__ import annotations

from pathlib import Path

import msgspec

from copernicus.errors import CertificateRefused
from copernicus.net.bundle import Bundle, read_bundle, write_bundle
from copernicus.net.caller import Caller
from copernicus.net.tls import bundle_context, fingerprint
from copernicus.wire.messages import RenewBundleRequest


def is_due(bundle: Bundle, now: float) -> bool:
    """Return whether it is time to renew `bundle` (`now`: Unix time)."""
    return 0 < bundle.renew_at <= now


def renewed(bundle: Bundle, caller: Caller) -> Bundle:
    """Ask the server for `bundle` with a new key, certificate and life; `caller` shows the bundle.

    Where the server is stays as the bundle says: it may be reached through a tunnel. Raise whatever the server answers,
    `CertificateRefused` when what comes is not the same bundle of the same server.
    """
    answer = caller.call(RenewBundleRequest()).bundle.reveal()
    try:
        fresh = msgspec.json.decode(answer, type=Bundle)
    except msgspec.DecodeError as error:
        raise CertificateRefused(f"What came as a renewed bundle is none: {error}.") from None
    if fresh.serial != bundle.serial or fingerprint(fresh.authority) != fingerprint(bundle.authority):
        raise CertificateRefused("What came as a renewed bundle is another one.", "The old one is kept.")
    kept = msgspec.structs.replace(
        fresh, addresses=bundle.addresses, client_port=bundle.client_port, secure_port=bundle.secure_port, server=bundle.server
    )
    bundle_context(kept)  # certificate and key fit together, before the old ones are given up
    return kept


def keep(path: Path, old: Bundle, fresh: Bundle) -> None:
    """Write a renewed bundle over the old one, unless something else stands there by now; raise `SettingsError`."""
    if read_bundle(path) == old:
        write_bundle(path.resolve(), fresh)
