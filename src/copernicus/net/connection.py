"""One kept-alive HTTPS connection to a server, with every failure in the house's words."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from copernicus.config.hosts import is_host
from copernicus.errors import CertificateRefused, Unreachable
from copernicus.net.silence import notice_silence
from copernicus.net.tls import check_server_certificate

CONNECT_TIMEOUT_S = 10.0
EXPIRED, NOT_YET_VALID = 10, 9  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID
CLOSED = (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class ClosedBeforeAnswer(Unreachable):
    """The connection broke before the first byte of the answer; `had_answers` says whether it had served before,
    `was_let_in` whether the handshake had come to its end: before that, a server has not seen who comes."""

    def __init__(self, where: str, *, had_answers: bool, was_let_in: bool = True) -> None:
        super().__init__(f"The connection to {where} was closed before the answer came.", "Try again.")
        self.had_answers = had_answers
        self.was_let_in = was_let_in


class Connection:
    """A connection that is opened when first needed. One thread at a time; only `interrupt` may come from another one."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        if context.verify_mode != ssl.CERT_REQUIRED:
            raise CertificateRefused("A connection without a pinned CA is for first contact only.")
        self.where = f"{host}:{port}"
        check_host(host)
        self._http = http.client.HTTPSConnection(host, port, context=context, timeout=CONNECT_TIMEOUT_S)
        self._answers = 0

    def exchange(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> http.client.HTTPResponse:
        """Send one request and return the answer, its body unread (read it within `reading`).

        Raise `CertificateRefused`, `Unreachable`; of these `ClosedBeforeAnswer` when not a byte of an answer came.
        """
        if self._http.sock is None:
            self._connect()
        self._http.sock.settimeout(timeout_s)
        try:
            self._http.request(method, target, body=body or None, headers=dict(headers))
            response = self._http.getresponse()
        except TimeoutError:
            self.close()
            raise Unreachable(f"{self.where} has not answered for {timeout_s:g} s.", "Try again.") from None
        except CLOSED:
            had_answers = self._answers > 0
            self.close()
            raise ClosedBeforeAnswer(self.where, had_answers=had_answers) from None
        except ssl.SSLError as error:
            self.close()
            raise _refusal(self.where, error) from None
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # ValueError and AttributeError: what the ssl module says when `interrupt` came at an unlucky moment
            self.close()
            raise Unreachable(f"The connection to {self.where} broke: {error}.", "Try again.") from None
        except BaseException:
            self.close()
            raise
        self._answers += 1
        return response

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around reading an answer's body: closes the connection and raises `Unreachable` when it breaks."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            self.close()
            what = "stopped" if isinstance(error, TimeoutError) else "broke"
            raise Unreachable(f"The answer of {self.where} {what} in the middle.", "Try again.") from None
        except BaseException:
            self.close()
            raise

    def interrupt(self) -> None:
        """Make a request that waits in another thread end with `Unreachable`, at once."""
        sock = self._http.sock
        if sock is not None:
            with suppress(OSError):  # it may be closed already
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # under TLS' own shutdown, which is not for other threads

    def close(self) -> None:
        """Close; the next request opens anew."""
        self._answers = 0
        self._http.close()

    def _connect(self) -> None:
        self._http.timeout = CONNECT_TIMEOUT_S
        try:
            self._http.connect()
            notice_silence(self._http.sock)
            check_server_certificate(self._http.sock.getpeercert(binary_form=True))
        except socket.gaierror:
            self.close()
            raise unknown_host(self._http.host) from None
        except ConnectionRefusedError:
            self.close()
            raise Unreachable(
                f"No server answers at {self.where}.", "Is it running (cpc-server status), and are address and port right?"
            ) from None
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise _verification(self.where, error) from None
        except CLOSED:
            self.close()
            raise ClosedBeforeAnswer(self.where, had_answers=False, was_let_in=False) from None
        except ssl.SSLError as error:
            self.close()
            raise _refusal(self.where, error) from None
        except OSError as error:
            self.close()
            why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise Unreachable(f"There is no connection to {self.where}: {why}.", "Check address and port.") from None
        except CertificateRefused:
            self.close()
            raise


def check_host(host: str) -> None:
    """Raise `Unreachable` when `host` does not even have the form of a host name or an address."""
    if not is_host(host):
        raise unknown_host(host)


def unknown_host(host: str) -> Unreachable:
    """Return the error for a host of which nobody knows where it is."""
    return Unreachable(f"The host name {host!r} is not known.", "Check the address.")


def _verification(where: str, error: ssl.SSLCertVerificationError) -> CertificateRefused:
    said = f"certificate verify failed: {error.verify_message}"
    if error.verify_code in (EXPIRED, NOT_YET_VALID):
        hint = "Compare the clocks of both machines; a server renews its certificate when it is started."
        return CertificateRefused(f"{said} ({where}).", hint)
    return CertificateRefused(
        f"{said}. {where} is not the server that this bundle or login was made for.",
        "Check address and port; if the server was set up anew, ask for a new bundle, or cpcc forget-server and add-server.",
    )


def _refusal(where: str, error: ssl.SSLError) -> CertificateRefused | Unreachable:
    reason = error.reason or ""
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason or "ACCESS_DENIED" in reason):
        return bundle_refused(where)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL", "RECORD_LAYER_FAILURE"):
        return Unreachable(f"What answers at {where} does not speak TLS 1.3.", "Is it the right port?")
    return Unreachable(f"The connection to {where} broke: {reason or error}.", "Try again.")


def bundle_refused(where: str) -> CertificateRefused:
    """Return the error for a bundle that the server does not take."""
    return CertificateRefused(
        f"The server {where} refused this bundle (expired, revoked or of another server).",
        "Make a new one on the server: cpc-server bundle",
    )
