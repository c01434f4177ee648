"""`cpc-server install-service`: the server as a service of the user's own systemd."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from copernicus.config import settings as server_settings
from copernicus.config.files import write_atomic
from copernicus.config.places import settings_home
from copernicus.errors import Refused, SettingsError
from copernicus.server.cli import Selected

UNIT = """\
[Unit]
Description=Copernicus server {label}
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={command}
Environment={environment}
Restart=on-failure
RestartSec=5
TimeoutStopSec=90
KillMode=mixed
UMask=0077
NoNewPrivileges=yes
LimitNOFILE=65536

[Install]
WantedBy=default.target
"""


@click.command("install-service")
@click.option("--print", "is_printed", is_flag=True, help="Print the unit; install nothing.")
@click.pass_obj
def install_service(selected: Selected, is_printed: bool) -> None:
    """Let systemd start the server, for this user: write the unit, and say how it is enabled. No root is needed."""
    folder = selected.folder
    server_settings.load(folder)
    text = unit(selected.label, folder)
    if is_printed:
        click.echo(text, nl=False)
        return
    path = unit_folder() / f"copernicus-{selected.label}.service"
    if path.is_symlink() or (path.exists() and not path.read_text(encoding="utf-8").startswith(UNIT.partition("{")[0])):
        raise Refused(f"There is a file {path} already, and it is none of ours.", "See what is in it, or use --print.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode(), mode=0o644)
    except OSError as error:
        raise SettingsError(f"The unit {path} cannot be written: {error.strerror}.", "Use --print.") from None
    click.echo(f"Wrote {path}. If the server runs, stop it first: cpc-server stop. Then:")
    click.echo(f"  systemctl --user daemon-reload && systemctl --user enable --now {path.name}")
    click.echo("So that it also runs when you are not logged in: loginctl enable-linger")


def unit(label: str, folder: Path) -> str:
    """Return the text of the unit for the server in `folder`."""
    command = [sys.executable, "-m", "copernicus.server", "--folder", str(folder)]
    environment = f"CPC_CONF_HOME={settings_home()}"
    return UNIT.format(label=_literal(label), command=_literal(shlex.join(command)), environment=_literal(_quoted(environment)))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _literal(text: str) -> str:
    """Systemd reads % as the beginning of a specifier, and $ as that of a variable."""
    return text.replace("%", "%%").replace("$", "$$")


def unit_folder() -> Path:
    """Return where systemd looks for units of this user."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "systemd" / "user"
