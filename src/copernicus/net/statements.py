"""Statements that a server signs with the key of its CA, and what is checked before another one's CA is trusted."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from copernicus.errors import NotAllowed

MOST_CACHED = 4096


def check_authority(authority: str) -> x509.Certificate:
    """Return the CA certificate in a PEM text; raise `NotAllowed` when it is not one as servers make them."""
    try:
        certificate = x509.load_pem_x509_certificate(authority.encode())
        certificate.verify_directly_issued_by(certificate)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        raise _no_authority() from None
    is_ours = isinstance(certificate.public_key(), ec.EllipticCurvePublicKey) and usage.key_cert_sign
    if not (constraints.ca and constraints.path_length == 0 and is_ours):
        raise _no_authority()
    return certificate


def check_signature(authority: str, data: bytes, signature: bytes) -> None:
    """Raise `NotAllowed` unless `data` was signed with the key of `authority`, which is checked, too."""
    key = check_authority(authority).public_key()
    try:
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise InvalidSignature
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise NotAllowed("The signature of the statement is wrong.") from None


class Issuers:
    """Tells by whose CA a certificate was issued: by the signature, since names and serials can be chosen by anybody.

    Servers are known by their fingerprints. What a live TLS context trusts does not matter here, so that trust that was
    taken back ends at once.
    """

    def __init__(self, own: str, authority: str) -> None:
        self._own = own, check_authority(authority)
        self._all = {own: self._own[1]}
        self._found: dict[bytes, str] = {}

    def trust(self, peers: dict[str, str]) -> None:
        """Let these be the other servers: CA certificates (PEM) by fingerprint."""
        own, certificate = self._own
        self._all = {own: certificate} | {id: check_authority(authority) for id, authority in peers.items() if id != own}
        self._found.clear()

    def is_like_another(self, id: str, authority: str) -> bool:
        """Whether this CA, which is to be trusted as `id`, bears the name of one that is another server's."""
        subject = check_authority(authority).subject
        return any(one.subject == subject for other, one in self._all.items() if other != id)

    def of(self, certificate: bytes) -> str:
        """The fingerprint of the server that issued a certificate (DER), "" for none of those that are trusted."""
        found = self._found.get(certificate)
        if found is None:
            if len(self._found) >= MOST_CACHED:
                self._found.clear()
            found = self._found[certificate] = self._issuer(certificate)
        return found

    def _issuer(self, certificate: bytes) -> str:
        try:
            leaf = x509.load_der_x509_certificate(certificate)
        except ValueError:
            return ""
        for id, authority in self._all.items():
            try:
                leaf.verify_directly_issued_by(authority)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return id
        return ""


def _no_authority() -> NotAllowed:
    return NotAllowed("What was shown as a server's CA certificate is not one.")
