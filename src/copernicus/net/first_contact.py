"""First contact: a server's CA, fetched before anything is trusted, and its fingerprint, for a person to compare."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl

import msgspec

from copernicus.config import settings as server_settings
from copernicus.config.places import settings_home
from copernicus.errors import CertificateRefused, CopernicusError, Unreachable
from copernicus.net.connection import CONNECT_TIMEOUT_S, check_host, unknown_host
from copernicus.net.tls import fingerprint
from copernicus.wire.codec import decode, encode
from copernicus.wire.endpoints import BY_REQUEST
from copernicus.wire.messages import AuthorityReply, AuthorityRequest

MOST_BYTES = 64 * 1024


class Authority(msgspec.Struct, frozen=True):
    """A server's CA certificate (PEM) and its fingerprint (SHA-256, hex). `is_own`: read from this user's own settings.

    `secure_port` is what it says, 0: nothing.
    """

    certificate: str
    fingerprint: str
    is_own: bool = False
    secure_port: int = 0


def fetch_authority(host: str, port: int) -> Authority:
    """Ask the server at `host:port` for its CA over a connection that trusts nobody; raise `Unreachable`.

    Nothing secret is ever sent over this connection: it carries this one request.
    """
    check_host(host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # what comes back is compared with a fingerprint before it is trusted
    connection = http.client.HTTPSConnection(host, port, context=context, timeout=CONNECT_TIMEOUT_S)
    try:
        connection.request("POST", BY_REQUEST[AuthorityRequest].path, encode(AuthorityRequest()))
        response = connection.getresponse()
        body = response.read(MOST_BYTES)
        if response.status != 200:
            raise Unreachable(f"{host}:{port} does not show its CA (HTTP {response.status}).", "Is it the client port?")
        reply = decode(body, AuthorityReply)
        return Authority(reply.certificate, fingerprint(reply.certificate), secure_port=reply.secure_port)
    except socket.gaierror:
        raise unknown_host(host) from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise Unreachable(f"No Copernicus server answers at {host}:{port}: {why}.", "Check address and port.") from None
    finally:
        connection.close()


def own_authority(host: str, port: int) -> Authority | None:
    """Return the CA of a server set up by this user on this machine with client port `port`, or None."""
    if not _is_this_machine(host):
        return None
    for file in sorted(settings_home().glob(f"*/server/{server_settings.FILE_NAME}")):
        try:
            if server_settings.load(file.parent).client_secure_port == port:
                certificate = (file.parent / "keys" / "ca.pem").read_text()
                return Authority(certificate, fingerprint(certificate), is_own=True)
        except (CopernicusError, OSError):
            continue  # somebody else's trouble: the ordinary way by fingerprint stays
    return None


def check_fingerprint(authority: Authority, expected: str) -> None:
    """Raise `CertificateRefused` unless the fingerprint is `expected` (hex; colons, blanks and case do not matter)."""
    plain = expected.replace(":", "").replace(" ", "").lower().removeprefix("sha256")
    if plain != authority.fingerprint:
        raise CertificateRefused(
            f"The server's fingerprint is {authority.fingerprint}, not {plain}.",
            "Compare with what cpc-server status prints on the server; somebody may be in between.",
        )


def _is_this_machine(host: str) -> bool:
    if host.lower() in ("localhost", socket.gethostname().lower(), socket.getfqdn().lower()):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
