"""The way to the server that a bundle names: callers and file transfers, one connection for each thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from copernicus.errors import CopernicusError
from copernicus.model.values import FileRef
from copernicus.net.bundle import Bundle
from copernicus.net.caller import TIMEOUT_S, Caller
from copernicus.net.renewal import is_due, keep, renewed
from copernicus.net.tls import bundle_context, show_also
from copernicus.net.transfer import download, upload

TRIES = 30  # in the last third of a bundle's life
LONGEST_WAIT_S = 3600.0  # a machine may sleep, and its clock be set


class ServerConnection:
    """Connections to one server; raises `CertificateRefused` for a broken bundle.

    `stop_downloads` and `close` end the waiting of transfers that are not getting on.
    """

    def __init__(self, bundle: Bundle, file: Path | None = None) -> None:
        """`file`: where the bundle stands, and is renewed."""
        self._bundle = bundle
        self._file = file
        self._context = bundle_context(bundle)
        self._own = threading.local()
        self._needs_no_input = threading.Event()
        self._over = threading.Event()

    def caller(self, timeout_s: float = TIMEOUT_S) -> Caller:
        """Return a new caller, for one thread, that waits so long for an answer."""
        return Caller(self._bundle.host, self._bundle.secure_port, self._context, timeout_s=timeout_s, is_secure_port=True)

    def keep_renewed(self, say: Callable[[str], None]) -> None:
        """In a thread of its own, until `close`: renew the bundle whenever it is time for that."""
        while self._bundle.renew_at:
            now, bundle = time.time(), self._bundle
            again_s = (bundle.expires_at - bundle.renew_at) / TRIES
            if self._over.wait(min(LONGEST_WAIT_S, bundle.renew_at - now if bundle.renew_at > now else again_s)):
                return
            said = self.renew(time.time())
            if said:
                say(said)

    def renew(self, now: float) -> str:
        """Renew the bundle if it is time for that (`now`: Unix time); return what a person should know of it, "" for nothing.

        Connections that stand go on; new ones show the new certificate. The file may be one that cannot be written.
        """
        if not is_due(self._bundle, now):
            return ""
        try:
            with self.caller() as caller:
                fresh = renewed(self._bundle, caller)
            show_also(self._context, fresh)
            old, self._bundle = self._bundle, fresh
            if self._file is not None:
                keep(self._file, old, fresh)
        except CopernicusError as error:
            return f"The connection bundle was not renewed: {error}"
        return f"The connection bundle was renewed, until {time.strftime('%Y-%m-%d', time.localtime(fresh.expires_at))}."

    def upload(self, file: FileRef, path: Path) -> None:
        """Send a blob unless the server has it; raises as `net.transfer.upload`."""
        upload(self._transfers(), file, path, stop=self._over)

    def download(self, file: FileRef, path: Path) -> None:
        """Fetch a blob to `path`; raises as `net.transfer.download`."""
        download(self._transfers(), file, path, stop=self._needs_no_input)

    def stop_downloads(self) -> None:
        """Let no download wait any longer: no job is started any more."""
        self._needs_no_input.set()

    def close(self) -> None:
        """Let no transfer wait any longer."""
        self._needs_no_input.set()
        self._over.set()

    def _transfers(self) -> Caller:
        """The calling thread's own caller for files."""
        caller: Caller | None = getattr(self._own, "caller", None)
        if caller is None:
            caller = self._own.caller = self.caller()
        return caller
