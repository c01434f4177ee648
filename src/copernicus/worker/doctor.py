"""`cpc-worker doctor`: would a worker here reach its server, and have room to work?"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from copernicus.errors import NoSpace, Refused, SettingsError
from copernicus.model.counts import sized
from copernicus.net.bundle import Bundle, find_bundle
from copernicus.net.caller import Caller
from copernicus.program import Look, look
from copernicus.wire.messages import ServerInfoRequest

LEAST_FREE_BYTES = 1 << 30


def looks(bundle: Path | None, work_dir: Path) -> Iterator[Look]:
    """Look at bundle, server, work folder and disk."""
    yield look("bundle", lambda: of_bundle(find_bundle(bundle)))
    yield look("server", lambda: of_server(find_bundle(bundle)))
    yield look("work folder", lambda: of_work_dir(work_dir))
    yield look("disk", lambda: of_disk(work_dir))


def of_bundle(bundle: Bundle) -> str:
    """Raise `SettingsError` for a bundle with which no worker can work."""
    if bundle.role not in ("worker", "admin"):
        raise SettingsError(f"The bundle is for a {bundle.role}, not for a worker.", "Make one with: cpcc bundle --role worker")
    ends = time.strftime("%Y-%m-%d", time.localtime(bundle.expires_at))
    return f"role {bundle.role}, until {ends}{', renews itself' if bundle.renew_at else ''}"


def of_server(bundle: Bundle) -> str:
    """Raise when the server does not answer, or does not take the bundle."""
    with Caller.of_bundle(bundle, timeout_s=10.0) as caller:
        info = caller.call(ServerInfoRequest())
    return f"{info.hostname} ({bundle.host}:{bundle.secure_port}) answers, version {info.version}"


def of_work_dir(work_dir: Path) -> str:
    """Raise `Refused` when no work folder can be made there."""
    if not os.access(work_dir, os.W_OK | os.X_OK):
        raise Refused(f"{work_dir} cannot be written.", "Name another place with -wd DIR.")
    return f"{work_dir.absolute()} can be written"


def of_disk(work_dir: Path) -> str:
    """Raise `NoSpace` when less than a GiB is free."""
    free = shutil.disk_usage(work_dir).free
    if free < LEAST_FREE_BYTES:
        raise NoSpace(f"Only {sized(free)} are free.", "Free some space, or name another place with -wd DIR.")
    return f"{sized(free)} are free"
