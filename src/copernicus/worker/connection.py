"""The way to the server that a bundle names: callers and file transfers, one connection for each thread."""

from __future__ import annotations

import threading
from pathlib import Path

from copernicus.model.values import FileRef
from copernicus.net.bundle import Bundle
from copernicus.net.caller import Caller
from copernicus.net.transfer import download, upload


class ServerConnection:
    """Connections to one server. `close` ends the waiting of transfers that are not getting on."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._own = threading.local()
        self._over = threading.Event()

    def caller(self) -> Caller:
        """Return a new caller, for one thread; raise `CertificateRefused` for a broken bundle."""
        return Caller.of_bundle(self._bundle)

    def upload(self, file: FileRef, path: Path) -> None:
        """Send a blob unless the server has it; raises as `net.transfer.upload`."""
        upload(self._transfers(), file, path, stop=self._over)

    def download(self, file: FileRef, path: Path) -> None:
        """Fetch a blob to `path`; raises as `net.transfer.download`."""
        download(self._transfers(), file, path, stop=self._over)

    def close(self) -> None:
        """Let no transfer wait any longer."""
        self._over.set()

    def _transfers(self) -> Caller:
        """The calling thread's own caller for files."""
        caller: Caller | None = getattr(self._own, "caller", None)
        if caller is None:
            caller = self._own.caller = self.caller()
        return caller
