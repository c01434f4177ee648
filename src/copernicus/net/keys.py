"""Keys and certificates: a server's own CA, its renewing server certificate, the certificates in bundles. ECDSA P-256."""

from __future__ import annotations

import datetime
import ipaddress
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from copernicus.config.files import check_private, make_private_folder, read_private, write_atomic
from copernicus.errors import SettingsError
from copernicus.net.tls import BUNDLE_PREFIX

CA_DAYS, SERVER_DAYS, RENEW_DAYS = 36500, 90, 30
BACKDATE = datetime.timedelta(hours=1)  # other machines' clocks may be behind


class KeyFolder:
    """The keys of one server: `ca.pem`, `ca.key`, `server.pem`, `server.key` in a folder of mode 0700."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server_certificate = folder / "server.pem"
        self.server_key = folder / "server.key"

    def exists(self) -> bool:
        """Return whether there is a CA."""
        return (self.folder / "ca.key").exists()

    def create(self, now: datetime.datetime) -> None:
        """Make a new CA, and with it a new identity of the server. The key is written last: without it there is none."""
        make_private_folder(self.folder)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Copernicus server {secrets.token_hex(8)}")])
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + datetime.timedelta(days=CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(is_authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_atomic(self.folder / "ca.pem", _certificate_pem(certificate))
        write_atomic(self.folder / "ca.key", _key_pem(key))

    def authority(self) -> str:
        """Return the CA certificate (PEM); raise `SettingsError`."""
        return read_private(self.folder / "ca.pem", "The server's CA certificate").decode()

    def check(self) -> None:
        """Raise `SettingsError` when a key is missing or can be used by others."""
        check_private(self.folder, "The folder of keys")
        for name in ("ca.key", "ca.pem"):
            read_private(self.folder / name, "The key file")

    def renew_server_certificate(self, names: list[str], now: datetime.datetime) -> bool:
        """Make the server's certificate for `names` when there is none, it ends within 30 days, or names or CA changed.

        Return whether a new one was made. Raise `SettingsError`.
        """
        authority = x509.load_pem_x509_certificate(self.authority().encode())
        if self._is_current(authority, names, now):
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        ends = min(now + datetime.timedelta(days=SERVER_DAYS), authority.not_valid_after_utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        builder = (
            self._leaf(authority, key.public_key(), subject, x509.random_serial_number(), now, ends)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        )
        certificate = builder.sign(self._ca_key(), hashes.SHA256())
        write_atomic(self.server_key, _key_pem(key))
        write_atomic(self.server_certificate, _certificate_pem(certificate))
        return True

    def issue_bundle_certificate(
        self, serial: int, now: datetime.datetime, ends: datetime.datetime, *, is_renewal: bool = False
    ) -> tuple[str, str]:
        """Return certificate and key (PEM) for a bundle: clientAuth and nothing else; what it may do stands in the book.

        The bundle's serial stands in the name. The certificate's own number is the same, or a new one when it is renewed.
        """
        authority = x509.load_pem_x509_certificate(self.authority().encode())
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{BUNDLE_PREFIX}{serial:x}"[:64])])
        number = x509.random_serial_number() if is_renewal else serial
        certificate = (
            self._leaf(authority, key.public_key(), subject, number, now, min(ends, authority.not_valid_after_utc))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
            .sign(self._ca_key(), hashes.SHA256())
        )
        return _certificate_pem(certificate).decode(), _key_pem(key).decode()

    def sign(self, data: bytes) -> bytes:
        """Sign `data` with the CA's key, as this server (ECDSA with SHA-256, DER); raise `SettingsError`."""
        return self._ca_key().sign(data, ec.ECDSA(hashes.SHA256()))

    def _is_current(self, authority: x509.Certificate, names: list[str], now: datetime.datetime) -> bool:
        if not self.server_certificate.exists() or not self.server_key.exists():
            return False
        stored = read_private(self.server_key, "The server's key")
        try:
            key = serialization.load_pem_private_key(stored, None)
            current = x509.load_pem_x509_certificate(self.server_certificate.read_bytes())
            current.verify_directly_issued_by(authority)
            shown = current.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except Exception:  # whatever is wrong with it, a new one is the answer
            return False
        return (
            current.public_key() == key.public_key()
            and list(shown) == [_general_name(name) for name in names]
            and current.not_valid_before_utc <= now <= current.not_valid_after_utc - datetime.timedelta(days=RENEW_DAYS)
        )

    def _leaf(
        self,
        authority: x509.Certificate,
        public_key: ec.EllipticCurvePublicKey,
        subject: x509.Name,
        serial: int,
        now: datetime.datetime,
        ends: datetime.datetime,
    ) -> x509.CertificateBuilder:
        issuer_key = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return (
            x509.CertificateBuilder(authority.subject, subject, public_key, serial)
            .not_valid_before(now - BACKDATE)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
        )

    def _ca_key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(read_private(self.folder / "ca.key", "The server's CA key"), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SettingsError(f"{self.folder / 'ca.key'} is not an ECDSA key.")
        return key


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode())


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
