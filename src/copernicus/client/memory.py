"""What `cpcc` remembers between two commands: servers with their pinned CAs, sessions, and current projects."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from copernicus.config.files import make_private_folder, read_private, write_atomic
from copernicus.config.places import settings_home
from copernicus.errors import SettingsError

FOLDER_NAME = "client"
FILE_NAME = "known.json"
T = TypeVar("T")


class KnownServer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A server whose CA is pinned; `fingerprint` is the SHA-256 of the CA `certificate` (PEM).

    `token` is that of the open session of `user` ("" when nobody is logged in); `expires_at` is Unix time.
    """

    name: str
    host: str
    port: int
    fingerprint: str
    certificate: str
    user: str = ""
    token: str = ""
    expires_at: float = 0.0


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    """Known servers by name, the name of the one in use, and the current project of each identity."""

    in_use: str = ""
    servers: dict[str, KnownServer] = {}
    projects: dict[str, str] = {}

    @property
    def server(self) -> KnownServer | None:
        """The server in use, if there is one."""
        return self.servers.get(self.in_use)

    def with_server(self, server: KnownServer, *, is_in_use: bool = True) -> Memory:
        """Return this with `server` added or replaced."""
        servers = {**self.servers, server.name: server}
        return msgspec.structs.replace(self, servers=servers, in_use=server.name if is_in_use else self.in_use)

    def without_server(self, name: str) -> Memory:
        """Return this without the server called `name`."""
        servers = {known: server for known, server in self.servers.items() if known != name}
        return msgspec.structs.replace(self, servers=servers, in_use="" if self.in_use == name else self.in_use)

    def with_project(self, identity: str, project: str) -> Memory:
        """Return this with `project` as the current one of `identity`; "" forgets it."""
        projects = {known: name for known, name in self.projects.items() if known != identity}
        return msgspec.structs.replace(self, projects={**projects, identity: project} if project else projects)


def folder() -> Path:
    """Return the folder of the client's own files."""
    return settings_home() / FOLDER_NAME


def load() -> Memory:
    """Return what is remembered; raise `SettingsError` when the file is broken or others can read it."""
    return load_file(folder() / FILE_NAME, Memory) or Memory()


def save(memory: Memory) -> None:
    """Remember `memory`; raise `SettingsError` when the folder cannot be written."""
    save_file(folder() / FILE_NAME, memory)


def load_file(file: Path, kind: type[T]) -> T | None:
    """Return the `kind` that stands in `file`, None when there is no file; raise `SettingsError` when it is broken."""
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(read_private(file, "The client's file"), type=kind)
    except msgspec.DecodeError as error:
        raise SettingsError(f"The client's file {file} is broken: {error}.", "Remove it and begin anew.") from None


def save_file(file: Path, content: Any) -> None:
    """Write `content` to `file`, whole, mode 0600; raise `SettingsError` when that is impossible."""
    try:
        make_private_folder(file.parent)
        write_atomic(file, msgspec.json.format(msgspec.json.encode(content), indent=1))
    except OSError as error:
        raise _not_writable(file, error) from None


@contextmanager
def locked() -> Iterator[None]:
    """Keep other `cpcc` of the same user from changing the client's files meanwhile."""
    file = folder() / "lock"
    try:
        make_private_folder(file.parent)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _not_writable(file, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _not_writable(file: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"The client's file {file} cannot be written: {error.strerror}.", "Make the folder writable, or set CPC_CONF_HOME."
    )
