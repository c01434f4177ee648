"""Settings of the server: flags > environment (`CPC_<NAME>`) > `settings.json` > default; an unknown key is an error."""

from __future__ import annotations

import difflib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import msgspec.inspect

from copernicus.config.files import make_private_folder, read_private, write_atomic
from copernicus.config.hosts import is_host
from copernicus.config.places import DEFAULT_NAME
from copernicus.errors import SettingsError

FILE_NAME = "settings.json"
HOSTS = ("server_host", "server_fqdn")
LIVE = {"heartbeat_time", "disk_reserve_bytes", "blob_limit_bytes", "message_limit_bytes", "mode", "rate_limit", "patience"}
"""Those that a running server takes over when it is told to (cpcc readconf); the others hold from its next start on."""
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Bytes = Annotated[int, msgspec.Meta(ge=0)]


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one server. A limit of 0 means: none.

    server_host           address to listen on: loopback, one address, or "all"
    server_fqdn           name under which others reach it; stands in bundles ("": server_host, or this machine's name)
    client_secure_port    port for cpcc and the web page
    server_secure_port    port for workers, bundles and peers
    heartbeat_time        seconds after which a silent worker counts as lost
    run_dir               PROJECT_DIR: projects, jobs and blobs; made with the first project
    log_dir               text logs ("": `log` in the server's own folder)
    mode                  how much the log says: prod, debug or trace
    log_format            text, or json: one object a line, for programs
    import_path           folders with modules of this site
    server_cores          processes for module code (0: one for each core)
    keep_alive_interval   seconds between signs of life to peers
    reconnect_interval    seconds before a lost peer is called again
    retention_days        how long results and checkpoints that nothing needs any more are kept
    disk_high_water       part of the disk (0.9) above which such files go before their time, the oldest first
    disk_reserve_bytes    refuse new data when less than this would stay free
    blob_limit_bytes      largest single file
    archive_limit_bytes   most that an archive of a project may unpack to
    message_limit_bytes   largest message
    rate_limit            most requests per second of one user or client (workers and admins: ten times as many)
    patience              seconds that a caller may take for the next part of a request
    memory_limit_bytes    refuse new data when the server itself uses more
    """

    server_host: str = "127.0.0.1"
    server_fqdn: str = ""
    client_secure_port: Port = 14807
    server_secure_port: Port = 13807
    heartbeat_time: Annotated[float, msgspec.Meta(ge=2)] = 120.0
    run_dir: str = ""
    log_dir: str = ""
    mode: Literal["prod", "debug", "trace"] = "prod"
    log_format: Literal["text", "json"] = "text"
    import_path: tuple[str, ...] = ()
    server_cores: Annotated[int, msgspec.Meta(ge=0)] = 0
    keep_alive_interval: Seconds = 240.0
    reconnect_interval: Seconds = 30.0
    retention_days: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    disk_high_water: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.9
    disk_reserve_bytes: Bytes = 256 * 1024**2
    blob_limit_bytes: Bytes = 0
    archive_limit_bytes: Bytes = 0
    message_limit_bytes: Bytes = 64 * 1024**2
    rate_limit: Annotated[float, msgspec.Meta(ge=0)] = 1000.0
    patience: Seconds = 60.0
    memory_limit_bytes: Bytes = 0

    @property
    def listen_host(self) -> str | None:
        """The address to bind, None for all."""
        return None if self.server_host == "all" else self.server_host

    @property
    def local_host(self) -> str:
        """The address by which this machine itself reaches the server."""
        return "127.0.0.1" if self.server_host in ("all", "0.0.0.0", "::") else self.server_host  # noqa: S104 - compared

    @property
    def public_host(self) -> str:
        """The address that goes into bundles."""
        if self.server_fqdn:
            return self.server_fqdn
        if self.local_host == self.server_host:
            return self.server_host
        name = socket.getfqdn()
        # Where the full name is not known, it is often that of loopback, under which nobody else finds this machine.
        return socket.gethostname() if name.startswith("localhost") else name

    @property
    def certificate_names(self) -> list[str]:
        """The names that the server's certificate shows (clients pin the CA and do not look at them; browsers do)."""
        return list(dict.fromkeys([self.public_host, self.local_host, "localhost"]))


def names() -> list[str]:
    """Return the names of all settings."""
    return list(ServerSettings.__struct_fields__)


def load(folder: Path, flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] = os.environ) -> ServerSettings:
    """Return the settings of the server in `folder`; raise `SettingsError` when one of them cannot be used."""
    return resolve(read(folder), folder / FILE_NAME, flags, environment)


def resolve(
    stored: Mapping[str, Any],
    file: Path,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> ServerSettings:
    """Return what holds when the file says `stored`, the environment `environment`, the command line `flags`."""
    values: dict[str, Any] = {}
    for name, value in stored.items():
        values[name] = _checked(name, value, f" in {file}", is_text=False)
    for name in names():
        variable = f"CPC_{name.upper()}"
        if variable in environment:
            values[name] = _checked(name, environment[variable], f" in ${variable}", is_text=True)
    for name, value in (flags or {}).items():
        if value is not None:
            values[name] = _checked(name, value, "", is_text=isinstance(value, str))
    settings = ServerSettings(**values)
    if settings.client_secure_port == settings.server_secure_port:
        raise SettingsError(
            f"client_secure_port and server_secure_port are both {settings.client_secure_port}.", "Give each its own."
        )
    return settings


def read(folder: Path) -> dict[str, Any]:
    """Return what `settings.json` in `folder` says, unchecked; raise `SettingsError` when it is missing or no object."""
    file = folder / FILE_NAME
    if not file.exists():
        option = "" if folder.parent.name == DEFAULT_NAME else f"-c {folder.parent.name} "
        raise SettingsError(f"There is no server set up in {folder}.", f"Run: cpc-server {option}setup PROJECT_DIR")
    try:
        stored = msgspec.json.decode(read_private(file, "The settings file"))
    except msgspec.DecodeError as error:
        raise SettingsError(f"The settings file {file} is not JSON: {error}.") from None
    if not isinstance(stored, dict):
        raise SettingsError(f"The settings file {file} must hold one JSON object.")
    return stored


def write(folder: Path, stored: Mapping[str, Any]) -> None:
    """Check and write what `settings.json` shall say, mode 0600; raise `SettingsError` and change nothing if it is wrong."""
    settings = resolve(stored, folder / FILE_NAME, environment={})
    known = {name: getattr(settings, name) for name in names() if name in stored}
    make_private_folder(folder)
    write_atomic(folder / FILE_NAME, msgspec.json.format(msgspec.json.encode(known), indent=2) + b"\n")


def parse(name: str, text: str) -> Any:
    """Return the value that `text` stands for as the setting `name`; raise `SettingsError`."""
    return _checked(name, text, "", is_text=True)


def _checked(name: str, value: Any, where: str, *, is_text: bool) -> Any:
    fields = {field.name: field for field in msgspec.structs.fields(ServerSettings)}
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1)
        hint = f"Did you mean {near[0]}?" if near else "See: cpc-server config-list"
        raise SettingsError(f"There is no setting called {name}{where}.", hint)
    kind = fields[name].type
    if is_text and name == "import_path":
        value = tuple(part for part in str(value).split(os.pathsep) if part)
    try:
        found = msgspec.convert(value, kind, strict=not is_text)
    except msgspec.ValidationError:
        raise SettingsError(f"The setting {name}{where} cannot be {value!r}.", f"It must be {_in_words(kind)}.") from None
    if name in HOSTS and not (is_host(found) or found == getattr(ServerSettings(), name)):
        raise SettingsError(f"The setting {name}{where} cannot be {value!r}.", "It must be a host name or an address.")
    return found


def _in_words(kind: Any) -> str:
    match msgspec.inspect.type_info(kind):
        case msgspec.inspect.IntType(ge=low, le=high):
            return f"a whole number{_from(low)}" + (f" to {high}" if high is not None else "")
        case msgspec.inspect.FloatType(ge=low, gt=above):
            return "a number" + (f" above {above:g}" if above is not None else _from(low))
        case msgspec.inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case msgspec.inspect.VarTupleType():
            return "a list of folders"
    return "text"


def _from(low: float | None) -> str:
    return f" from {low:g}" if low is not None else ""
