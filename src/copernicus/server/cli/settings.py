"""`cpc-server config`, `config-list`, `config-values`: look at settings and change them."""

from __future__ import annotations

import inspect
import json
import os
import re
from pathlib import Path
from typing import Any

import click
import msgspec

from copernicus.config import settings as server_settings
from copernicus.config.running import holder
from copernicus.config.settings import ServerSettings
from copernicus.server.cli import Selected
from copernicus.terminal import columns, wrapped

IN_BUNDLES = ("server_host", "server_fqdn", "client_secure_port", "server_secure_port")
PATHS = ("run_dir", "log_dir")


@click.command()
@click.argument("param")
@click.argument("value")
@click.pass_obj
def config(selected: Selected, param: str, value: str) -> None:
    """Set PARAM to VALUE in the server's settings."""
    folder = selected.folder
    stored = server_settings.read(folder)
    stored[param] = absolute(param, server_settings.parse(param, value))
    server_settings.write(folder, stored)
    click.echo(f"{param} = {shown(stored[param])}")
    is_running = holder(folder) is not None
    if is_running:
        told = " (or, at once: cpcc readconf)" if param in server_settings.LIVE else ""
        click.echo(f"The server is running: it will know after cpc-server stop and start{told}.")
    if param in IN_BUNDLES:
        from copernicus.server.cli.bundle import address_of, move_owners_bundle, tell_moved

        if not is_running:
            tell_moved(move_owners_bundle(folder, address_of(server_settings.load(folder), selected.label)))
        click.echo("Bundles given to others still say the old address. New ones: cpc-server bundle")


def absolute(param: str, value: Any) -> Any:
    """Return the value of a setting with its paths made absolute: the server runs in another folder."""
    if param in PATHS and value:
        return str(Path(value).expanduser().absolute())
    if param == "import_path":
        return tuple(str(Path(part).expanduser().absolute()) for part in value)
    return value


@click.command("config-list")
@click.option("--json", "-json", "is_json", is_flag=True, help="Print JSON.")
def config_list(is_json: bool) -> None:
    """List all settings with their defaults."""
    meanings = explained()
    rows = [(name, getattr(ServerSettings(), name), meanings.get(name, "")) for name in server_settings.names()]
    if is_json:
        click.echo(json.dumps([{"name": name, "default": default, "meaning": text} for name, default, text in rows]))
        return
    for name, default, text in rows:
        line = f"{name:<20} {shown(default):<12} {text}".rstrip()
        click.echo("\n".join(wrapped(line, columns(), " " * 34)))


@click.command("config-values")
@click.option("--json", "-json", "is_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def config_values(selected: Selected, is_json: bool) -> None:
    """Print the settings that hold, and where each comes from."""
    settings = server_settings.load(selected.folder)
    stored = server_settings.read(selected.folder)
    rows: list[dict[str, Any]] = []
    for name, value in msgspec.structs.asdict(settings).items():
        source = "environment" if f"CPC_{name.upper()}" in os.environ else "file" if name in stored else "default"
        rows.append({"name": name, "value": value, "source": source})
    if is_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(f"{row['name']:<20} {shown(row['value']):<24} ({row['source']})")


def shown(value: object) -> str:
    """Return a setting's value as people type it."""
    if isinstance(value, tuple):
        return os.pathsep.join(map(str, value)) or '""'
    return str(value) if value != "" else '""'


def explained() -> dict[str, str]:
    """Return the meaning of each setting, as the class of settings says it."""
    text = inspect.getdoc(ServerSettings) or ""
    return dict(re.findall(r"^(\w+) {2,}(\S.*)$", text, re.MULTILINE))
