"""Wrong uses of certificates, each tried over real TLS: what is refused, and that the right use is not."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec.structs import replace
from tests.integration.small_server import DAY, NOW, SmallServer, made_bundle, made_keys

from copernicus.errors import CertificateRefused, CopernicusError, SettingsError
from copernicus.model.secret import Secret
from copernicus.net import tls
from copernicus.net.bundle import read_bundle, write_bundle
from copernicus.net.caller import Caller
from copernicus.net.keys import KeyFolder
from copernicus.wire import messages as m

Pair = tuple[str, str]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return made_keys(tmp_path / "keys")


def bundles_pair(keys: KeyFolder) -> Pair:
    bundle = made_bundle(keys, 1)
    return bundle.certificate, bundle.key


def servers_pair(keys: KeyFolder) -> Pair:
    return keys.server_certificate.read_text(), keys.server_key.read_text()


def authoritys_pair(keys: KeyFolder) -> Pair:
    return keys.authority(), (keys.folder / "ca.key").read_text()


def expired_pair(keys: KeyFolder) -> Pair:
    bundle = made_bundle(keys, 1, ends=NOW - DAY)
    return bundle.certificate, bundle.key


def useless_pair(keys: KeyFolder) -> Pair:
    """A certificate of the right CA without any key usage: OpenSSL alone would take it for a server's and a client's."""
    authority = x509.load_pem_x509_certificate(keys.authority().encode())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "useless")])
    signer = serialization.load_pem_private_key((keys.folder / "ca.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(authority.subject, name, key.public_key(), 77, NOW - DAY, NOW + DAY)
    pem = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return pem.decode(), key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def foreign_pair(keys: KeyFolder) -> Pair:
    return servers_pair(made_keys(keys.folder.parent / "foreign"))


def foreign_bundle(keys: KeyFolder) -> Pair:
    return bundles_pair(made_keys(keys.folder.parent / "foreign"))


def as_client(keys: KeyFolder, pair: Pair) -> str | None:
    """Show `pair` to the secure port; return the serial that the server would look up, None when it lets nobody in."""
    context = tls.server_secure_port_context(keys.server_certificate, keys.server_key, keys.authority())
    seen: list[str | None] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            raw, _ = listening.accept()
            try:
                with context.wrap_socket(raw, server_side=True) as connection:
                    seen.append(tls.serial_of(connection))
                    connection.sendall(b"!")
            except (ssl.SSLError, OSError):
                raw.close()

        thread = threading.Thread(target=serve)
        thread.start()
        shown = replace(made_bundle(keys, 1), certificate=pair[0], key=pair[1])
        with socket.create_connection(listening.getsockname(), timeout=20) as raw:
            try:
                with tls.bundle_context(shown).wrap_socket(raw) as connection:
                    connection.recv(1)
            except OSError:
                pass
        thread.join(20)
    return seen[0] if seen else None


def test_the_right_bundle_is_let_in_under_its_serial(keys: KeyFolder) -> None:
    assert as_client(keys, bundles_pair(keys)) == made_bundle(keys, 1).serial


@pytest.mark.parametrize("pair", [servers_pair, authoritys_pair, expired_pair, useless_pair, foreign_bundle])
def test_nothing_else_passes_as_a_bundle(keys: KeyFolder, pair: Callable[[KeyFolder], Pair]) -> None:
    assert as_client(keys, pair(keys)) is None


@pytest.mark.parametrize("pair", [bundles_pair, authoritys_pair, expired_pair, useless_pair, foreign_pair])
def test_nothing_else_passes_as_the_server(keys: KeyFolder, tmp_path: Path, pair: Callable[[KeyFolder], Pair]) -> None:
    certificate, key = pair(keys)
    with SmallServer(keys) as server:
        (tmp_path / "c.pem").write_text(certificate)
        (tmp_path / "k.pem").write_text(key)
        server.context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
        with pytest.raises(CertificateRefused, match="certificate verify failed"):
            server.caller().call(m.LoginRequest("root", Secret("a long enough password")))
        assert server.requests == []


def test_older_tls_is_refused(keys: KeyFolder) -> None:
    with SmallServer(keys) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=keys.authority())
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw, pytest.raises(OSError):
            context.wrap_socket(raw)


def test_the_server_certificate_renews_itself_and_the_identity_stays(keys: KeyFolder) -> None:
    before = keys.server_certificate.read_bytes()
    assert not keys.renew_server_certificate(["127.0.0.1"], NOW + 50 * DAY)
    assert keys.renew_server_certificate(["127.0.0.1"], NOW + 61 * DAY)
    assert keys.server_certificate.read_bytes() != before
    assert keys.renew_server_certificate(["127.0.0.1", "head.example.org"], NOW + 61 * DAY)
    keys.server_certificate.write_text("not a certificate")
    assert keys.renew_server_certificate(["127.0.0.1"], NOW)
    with SmallServer(keys) as server:
        bundle = replace(made_bundle(keys, server.port), authority=keys.authority())
        assert Caller("127.0.0.1", server.port, tls.client_context(bundle.authority)).call(m.ServerInfoRequest())


def test_a_renewed_certificate_is_shown_by_a_live_server_and_drops_no_connection(keys: KeyFolder) -> None:
    with SmallServer(keys) as server, server.caller() as before, server.caller() as after, server.caller() as last:
        assert before.call(m.ServerInfoRequest())
        old = shown_by(before)
        assert keys.renew_server_certificate(["127.0.0.1", "localhost"], NOW)
        tls.renew(server.context, keys.server_certificate, keys.server_key)
        assert before.call(m.ServerInfoRequest())
        assert server.connections == 1, "the connection that stood was not dropped"
        assert after.call(m.ServerInfoRequest())
        assert shown_by(before) == old != shown_by(after)
        keys.server_key.write_text(made_bundle(keys, 1).key)
        with pytest.raises(ssl.SSLError):
            tls.renew(server.context, keys.server_certificate, keys.server_key)
        assert last.call(m.ServerInfoRequest()), "a wrong key must not break what is live"
        assert shown_by(last) == shown_by(after)


def shown_by(caller: Caller) -> bytes | None:
    """The certificate that the server showed on a caller's connection."""
    shown: bytes | None = caller._connection._http.sock.getpeercert(binary_form=True)
    return shown


def test_a_bundle_s_serial_is_read_off_its_name_and_only_there(keys: KeyFolder) -> None:
    """A renewed certificate has a number of its own; that of any other kind of certificate names no bundle."""
    renewed = keys.issue_bundle_certificate(0xABC, NOW, NOW + DAY, is_renewal=True)
    for pair, serial in ((renewed, "abc"), (bundles_pair(keys), "abc"), (servers_pair(keys), None)):
        assert serial_behind(keys, pair) == serial
    number = x509.load_pem_x509_certificate(renewed[0].encode()).serial_number
    assert number != 0xABC


def serial_behind(keys: KeyFolder, pair: Pair) -> str | None:
    """What a server reads off a client's certificate (or that of whoever poses as one)."""
    bundle = replace(made_bundle(keys, 1), certificate=pair[0], key=pair[1])
    context = tls.server_secure_port_context(keys.server_certificate, keys.server_key, keys.authority())
    one, other = socket.socketpair()
    with one, other, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(context.wrap_socket, one, server_side=True)
        try:
            with tls.bundle_context(bundle).wrap_socket(other):
                return tls.serial_of(accepted.result(20))
        except OSError:
            return None


def test_the_certificates_say_what_the_design_says(keys: KeyFolder) -> None:
    server = x509.load_pem_x509_certificate(keys.server_certificate.read_bytes())
    assert server.not_valid_after_utc - NOW <= datetime.timedelta(days=90)
    for kind in (x509.SubjectAlternativeName, x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier):
        assert server.extensions.get_extension_for_class(kind)
    usage = server.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert isinstance(server.public_key(), ec.EllipticCurvePublicKey)


@pytest.mark.parametrize("name", ["ca.key", "ca.pem"])
def test_keys_that_others_can_read_are_refused(keys: KeyFolder, name: str) -> None:
    keys.check()
    (keys.folder / name).chmod(0o640)
    with pytest.raises(SettingsError, match="chmod go="):
        keys.check()


def test_bundle_files(keys: KeyFolder, tmp_path: Path) -> None:
    file = tmp_path / "client.cnx"
    bundle = made_bundle(keys, 1)
    write_bundle(file, bundle)
    assert read_bundle(file) == bundle
    assert bundle.key not in repr(bundle)
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    write_bundle(file, replace(bundle, expires_at=1.0))
    with pytest.raises(SettingsError, match="expired"):
        read_bundle(file)
    file.write_text("-----BEGIN")
    with pytest.raises(SettingsError, match="not a connection bundle"):
        read_bundle(file)
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="mode 0644"):
        read_bundle(file)
    with pytest.raises(CopernicusError):
        tls.bundle_context(replace(bundle, key=made_bundle(keys, 1).key))
