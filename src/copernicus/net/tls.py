"""TLS 1.3 contexts: each pins one server's CA and checks no host name; wrong uses of certificates are refused."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from copernicus.errors import CertificateRefused
from copernicus.net.bundle import Bundle

# The extended key usages as they stand in DER: server authentication and client authentication.
SERVER_AUTH = bytes.fromhex("06082b06010505070301")
CLIENT_AUTH = bytes.fromhex("06082b06010505070302")
BUNDLE_PREFIX = "bundle "  # of the common name of a bundle's certificate, before the bundle's serial


def fingerprint(authority: str) -> str:
    """Return the SHA-256 of a CA certificate (PEM), 64 hex digits: the server's identity. Raise `CertificateRefused`."""
    import hashlib

    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(authority.strip())).hexdigest()
    except ValueError as error:
        raise CertificateRefused(f"This is not a certificate: {error}.") from None


def client_context(authority: str) -> ssl.SSLContext:
    """Return the context for a server's client port: trusts `authority` (PEM) and nothing else."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    # The CA is the identity, not the name: tunnels, new addresses and renewed certificates keep working.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    _trust(context, authority)
    return context


def bundle_context(bundle: Bundle) -> ssl.SSLContext:
    """Return the context for a server's secure port: trusts the bundle's CA, shows the bundle's certificate."""
    context = client_context(bundle.authority)
    with _as_file(bundle.certificate.rstrip() + "\n" + bundle.key) as pem:
        try:
            context.load_cert_chain(pem)
        except ssl.SSLError as error:
            raise CertificateRefused(
                f"The bundle's certificate and key are broken, or do not fit together{_because(error)}.",
                "Make a new one: cpc-server bundle",
            ) from None
    return context


@contextmanager
def _as_file(secret: str) -> Iterator[str]:
    """Give the path of a file that holds `secret` for the moment: OpenSSL reads keys from files only."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        descriptor = os.memfd_create("bundle", os.MFD_CLOEXEC)  # never on a disk
        try:
            os.write(descriptor, secret.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="cpc-") as folder:  # a folder of our own (0700)
        pem = Path(folder) / "own.pem"
        pem.touch(mode=0o600)
        pem.write_text(secret)
        yield str(pem)


def show_also(context: ssl.SSLContext, bundle: Bundle) -> None:
    """Make a live context show a renewed bundle with its next connections; raise `CertificateRefused`, the old one goes on."""
    bundle_context(bundle)  # a wrong pair would break the live context: tried on a fresh one first
    with _as_file(bundle.certificate.rstrip() + "\n" + bundle.key) as pem:
        context.load_cert_chain(pem)


def server_client_port_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the server's context for its client port: shows its certificate, asks for none."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # Sessions are never resumed; without tickets a client that closes early leaves no unread bytes behind.
    context.num_tickets = 0
    return context


def server_secure_port_context(certificate: Path, key: Path, authority: str) -> ssl.SSLContext:
    """Return the server's context for its secure port: no handshake without a certificate of `authority`."""
    context = server_client_port_context(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    _trust(context, authority)
    return context


def trust_also(context: ssl.SSLContext, authority: str) -> None:
    """Let a live context of the secure port take certificates of another server's CA, too; raise `CertificateRefused`.

    There is no way back: whoever looks at a certificate asks `net.statements.Issuers` whose it is.
    """
    _trust(context, authority)


def link_context(authority: str, certificate: str, key: str) -> ssl.SSLContext:
    """Return the context for the secure port of the server with this CA, to which another one shows its certificate (PEM)."""
    context = client_context(authority)
    with _as_file(certificate.rstrip() + "\n" + key) as pem:
        context.load_cert_chain(pem)
    return context


def renew(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Make a live server context show a renewed certificate; connections that stand go on. Raise `ssl.SSLError`, `OSError`."""
    server_client_port_context(certificate, key)  # a wrong pair would break the live context: tried on a fresh one first
    context.load_cert_chain(certificate, key)


def check_server_certificate(der: bytes | None) -> None:
    """Raise `CertificateRefused` unless the certificate (DER) says that it is a server's and nothing else.

    OpenSSL takes a certificate without any extended key usage for a server; this house does not.
    """
    if not der or SERVER_AUTH not in der or CLIENT_AUTH in der:
        raise CertificateRefused(
            "certificate verify failed: the other side shows a certificate that is not a server's.",
            "Somebody may be posing as the server. Check address and port.",
        )


def is_bundle_certificate(der: bytes | None) -> bool:
    """Return whether the certificate (DER) says that it is a bundle's and nothing else."""
    return bool(der) and CLIENT_AUTH in (der or b"") and SERVER_AUTH not in (der or b"")


def serial_of(connection: ssl.SSLObject | ssl.SSLSocket | None) -> str | None:
    """Return the serial (lower-case hex) of the bundle whose verified certificate a connection shows, None without one.

    It stands in the certificate's name, which is the same in all certificates that a bundle gets when it is renewed. Look
    it up in the book of bundles at every request: the certificate only says who it is, never what it may do.
    """
    if connection is None or not is_bundle_certificate(connection.getpeercert(binary_form=True)):
        return None
    shown = connection.getpeercert()
    subject: Any = shown.get("subject", ()) if shown else ()
    name = next((value for part in subject for kind, value in part if kind == "commonName"), "")
    return normal_serial(name.removeprefix(BUNDLE_PREFIX)) if name.startswith(BUNDLE_PREFIX) else None


def normal_serial(serial: str) -> str:
    """Return a serial (hex) in the one form in which it is stored: lower case, no leading zeros."""
    return serial.lower().lstrip("0") or "0"


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _trust(context: ssl.SSLContext, authority: str) -> None:
    try:
        context.load_verify_locations(cadata=authority)
    except (ssl.SSLError, ValueError):
        raise CertificateRefused(
            "The server's CA certificate, which this bundle or login holds, cannot be read.",
            "Make a new bundle (cpc-server bundle), or add the server anew (cpcc forget-server, cpcc add-server).",
        ) from None


def _because(error: ssl.SSLError) -> str:
    return f" ({error.reason.lower().replace('_', ' ')})" if error.reason else ""
