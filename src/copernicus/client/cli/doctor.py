"""`cpcc doctor`: would commands reach a server from here, and as whom?"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict

from copernicus._version import __version__
from copernicus.client import memory
from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.credentials import BundleInHand, find
from copernicus.client.output import text
from copernicus.config.files import check_private
from copernicus.config.places import settings_home
from copernicus.errors import SettingsError, UnknownPath
from copernicus.program import look

CLOSE_TO_ITS_END_S = 7 * 86400.0


@command("doctor")
@pass_context
def doctor_command(context: Context) -> None:
    """Look at everything that commands need: own files, login or bundle, server, project. Exit status: 0 all is well, 1 not."""
    checks = {
        "own files": of_files,
        "identity": lambda: of_identity(context),
        "server": lambda: of_server(context),
        "project": lambda: of_project(context),
    }
    rows = [look(what, check) for what, check in checks.items()]
    context.show([asdict(row) for row in rows], lambda: map(str, rows))
    if not all(row.is_well for row in rows):
        sys.exit(1)


def of_files() -> str:
    """The settings folder is this user's alone; raise `SettingsError` when a file of it cannot be used."""
    home = settings_home()
    memory.load()
    folder = memory.folder()
    if folder.exists():
        check_private(folder, "The client's folder")
    return f"{home}: private" if home.exists() else f"{home} is not there yet"


def of_identity(context: Context) -> str:
    """Who commands are sent as, and until when; raise when there is nobody."""
    found = find(context.bundle)
    if isinstance(found, BundleInHand):
        bundle = found.bundle
        who, ends_at = f"{bundle.role} bundle of {bundle.user} for {bundle.server}", bundle.expires_at
        if not bundle.renew_at and ends_at - time.time() < CLOSE_TO_ITS_END_S:
            raise SettingsError(f"The {who} ends {text.moment(ends_at)}.", "Make a new one: cpcc bundle --role client")
    else:
        who, ends_at = f"{found.server.user}, logged in to {found.server.name}", found.server.expires_at
    return f"{who}, until {text.moment(ends_at)}"


def of_server(context: Context) -> str:
    """The server answers, and speaks the same version; raise when not."""
    info = context.client.server_info()
    version = "the same version" if info.version == __version__ else f"version {info.version}, this program {__version__}"
    return f"{info.hostname} answers as {info.user}: {version}"


def of_project(context: Context) -> str:
    """The current project, if one was chosen, is there; raise `UnknownPath` when it is not."""
    name = context.project_flag or memory.load().projects.get(context.client.identity, "")
    if name and name not in [row.name for row in context.client.projects()]:
        raise UnknownPath(f"There is no project {name!r} (any more).", "Choose another one: cpcc cd NAME")
    return f"{name} is the current one" if name else "none is chosen"
