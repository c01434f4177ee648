"""The way to the server that a bundle names: callers and file transfers, one connection for each thread."""

from __future__ import annotations

import threading
from pathlib import Path

from copernicus.model.values import FileRef
from copernicus.net.bundle import Bundle
from copernicus.net.caller import TIMEOUT_S, Caller
from copernicus.net.tls import bundle_context
from copernicus.net.transfer import download, upload


class ServerConnection:
    """Connections to one server; raises `CertificateRefused` for a broken bundle.

    `stop_downloads` and `close` end the waiting of transfers that are not getting on.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._context = bundle_context(bundle)
        self._own = threading.local()
        self._needs_no_input = threading.Event()
        self._over = threading.Event()

    def caller(self, timeout_s: float = TIMEOUT_S) -> Caller:
        """Return a new caller, for one thread, that waits so long for an answer."""
        return Caller(self._bundle.host, self._bundle.secure_port, self._context, timeout_s=timeout_s, is_secure_port=True)

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
