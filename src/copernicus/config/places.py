"""Where settings and bundles lie: the settings home, the server's folder, the order in which bundles are looked for."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from copernicus.errors import BundleNotFound, UsageError

DEFAULT_NAME = "_default"
BUNDLE_NAME = "client.cnx"
AUTHORITY_NAME = "ca.pem"


def settings_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return `$CPC_CONF_HOME`, or `~/.copernicus`."""
    given = environment.get("CPC_CONF_HOME", "")
    return Path(given).expanduser().absolute() if given else Path.home() / ".copernicus"


def host_name() -> str:
    """Return this machine's own short name, under which settings of one host of many may lie."""
    return socket.gethostname().split(".")[0] or "localhost"


def node_name(environment: Mapping[str, str] = os.environ) -> str:
    """Return the name under which this machine's workers and what they do are known: `$CPC_NODE`, or its own."""
    return environment.get("CPC_NODE") or host_name()


def site_name(environment: Mapping[str, str] = os.environ) -> str:
    """Return the name of the cluster or centre that this machine belongs to: `$CPC_SITE`, or the scheduler's; "" for none."""
    return environment.get("CPC_SITE") or environment.get("SLURM_CLUSTER_NAME") or ""


def server_folder(name: str = "", environment: Mapping[str, str] = os.environ) -> Path:
    """Return the settings folder of the server called `name` ("" is the default one)."""
    name = name or DEFAULT_NAME
    if name in (".", "..") or "/" in name or "\0" in name:
        raise UsageError(f"{name!r} cannot be the name of a server.", "Use letters, digits, '-', '_' and '.'.")
    return settings_home(environment) / name / "server"


def server_label(folder: Path) -> str:
    """Return the name of the server in `folder`, for people and bundles."""
    name = folder.parent.name
    return host_name() if name == DEFAULT_NAME else name


def bundle_folders(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the folders in which `client.cnx` is looked for, in order."""
    home = settings_home(environment)
    return [home / host_name(), home / DEFAULT_NAME, home]


def find_bundle_file(given: str | Path | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the bundle to use: `given` (the -c flag), `$CPC_BUNDLE`, or the first `client.cnx` in `bundle_folders`.

    Raise `BundleNotFound` that names the places looked at. (`cpcc` asks for its session between the first two.)
    """
    for path, source in ((given, "named with -c"), (environment.get("CPC_BUNDLE"), "that $CPC_BUNDLE names")):
        if path:
            path = Path(path).expanduser()
            if not path.is_file():
                raise BundleNotFound(f"Could not find a connection bundle: there is no file {path}, {source}.")
            return path
    folders = bundle_folders(environment)
    for folder in folders:
        if (folder / BUNDLE_NAME).is_file():
            return folder / BUNDLE_NAME
    looked_at = ", ".join(str(folder / BUNDLE_NAME) for folder in folders)
    raise BundleNotFound(
        f"Could not find a connection bundle. Looked at: {looked_at}.",
        f"Please specify one with the -c flag or put {BUNDLE_NAME} into {folders[-1]}.",
    )


class ServerPlaces(NamedTuple):
    """What lies where in a server's own folder (mode 0700)."""

    folder: Path

    @property
    def keys(self) -> Path:
        """The folder of keys, see `net.keys.KeyFolder`."""
        return self.folder / "keys"

    @property
    def access(self) -> Path:
        """The database of users, sessions and bundles."""
        return self.folder / "access.sqlite"

    @property
    def audit(self) -> Path:
        """The audit log."""
        return self.folder / "audit.log"

    @property
    def logs(self) -> Path:
        """The folder of text logs, unless the setting log_dir names another one."""
        return self.folder / "log"
