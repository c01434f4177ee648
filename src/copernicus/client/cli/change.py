"""Commands that change a project: each is one edit."""

from __future__ import annotations

from pathlib import Path

import click

from copernicus.client.cli.context import Context, change_command, pass_context
from copernicus.client.cli.transactions import check, make
from copernicus.model import edits as e
from copernicus.model.values import FileRef
from copernicus.program import Word


@change_command("import")
@click.argument("module")
@pass_context
def import_command(context: Context, module: str) -> None:
    """Make the functions of MODULE known to the project (see: cpcc list-modules)."""
    make(context, e.ImportModule(module))


@change_command("instance")
@click.argument("function")
@click.argument("name")
@pass_context
def instance_command(context: Context, function: str, name: str) -> None:
    """Make an instance of FUNCTION (module::name) called NAME. It is held until: cpcc activate NAME"""
    make(context, e.MakeInstance(function, name))


@change_command("rm-instance")
@click.argument("path", metavar="INSTANCE")
@pass_context
def rm_instance_command(context: Context, path: str) -> None:
    """Remove INSTANCE. What was connected to it keeps the values that it saw."""
    make(context, e.RemoveInstance(path))


@change_command("rename")
@click.argument("path", metavar="INSTANCE")
@click.argument("name")
@pass_context
def rename_command(context: Context, path: str, name: str) -> None:
    """Call INSTANCE, which you made, NAME from now on. Its connections, results and jobs stay as they are.

    A project is renamed with: cpcc rename-project
    """
    make(context, e.RenameInstance(path, name))


@change_command("connect")
@click.argument("source")
@click.argument("destination")
@pass_context
def connect_command(context: Context, source: str, destination: str) -> None:
    """Connect SOURCE (grompp:out.tpr) to DESTINATION (mdrun:in.tpr), which from now on shows what SOURCE holds."""
    make(context, e.Connect(source, destination))


@change_command("disconnect")
@click.argument("destination")
@pass_context
def disconnect_command(context: Context, destination: str) -> None:
    """Remove the connection that ends at DESTINATION. It keeps the value that it showed, as its own."""
    make(context, e.Disconnect(destination))


@change_command("set", context_settings={"allow_interspersed_args": False})
@click.argument("path")
@click.argument("value", nargs=-1, type=click.UNPROCESSED, required=True)
@pass_context
def set_command(context: Context, path: str, value: tuple[str, ...]) -> None:
    """Set PATH to VALUE, which is read by the type of PATH: a number, true or false, text, or JSON for more.

    Everything after PATH is the value, also -5 and -h; several words are joined by spaces. Flags stand before PATH (or
    after a VALUE of one word, when there is nothing else: VALUE -p PROJECT; quote a text that looks so). PATH[+] appends.
    """
    if _take_flags(context, value[1:]):
        value = value[:1]
    make(context, e.SetText(path, " ".join(value)))


def _take_flags(context: Context, words: tuple[str, ...]) -> bool:
    """Whether words are flags and nothing else; then they are taken."""
    project, is_json, is_preview = context.project_flag, context.is_json, context.is_preview
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "-p" and rest:
            project = rest.pop(0)
        elif word in ("--json", "--preview"):
            is_json, is_preview = is_json or word == "--json", is_preview or word == "--preview"
        else:
            return False
    context.project_flag, context.is_json, context.is_preview = project, is_json, is_preview
    return True


@change_command("setf")
@click.argument("path", type=Word())
@click.argument("file", type=Word())
@pass_context
def setf_command(context: Context, path: str, file: str) -> None:
    """Set PATH to the content of the local FILE. What the server has of it already is not sent again. PATH[+] appends."""
    from copernicus.client.cli.progress import bar

    if Path(file).is_file():
        # A wrong path is refused before anything is sent.
        check(context, e.SetFile(path, FileRef("0" * 64, 0, Path(file).name)))
    with bar(f"Sending {Path(file).name}") as progress:
        reference = context.client.upload(file, progress)
    make(context, e.SetFile(path, reference))


@change_command("unset")
@click.argument("path")
@pass_context
def unset_command(context: Context, path: str) -> None:
    """Remove the value at PATH; at the end of an array this shortens it."""
    make(context, e.Unset(path))


@change_command("activate")
@click.argument("path", metavar="[INSTANCE]", default="")
@pass_context
def activate_command(context: Context, path: str) -> None:
    """Let INSTANCE, or the whole project, run."""
    make(context, e.Activate(path))


@change_command("deactivate")
@click.argument("path", metavar="[INSTANCE]", default="")
@click.option("--now", "is_now", is_flag=True, help="Stop the jobs that run, with a checkpoint from which they go on later.")
@pass_context
def deactivate_command(context: Context, path: str, is_now: bool) -> None:
    """Hold INSTANCE, or the whole project: nothing new is started there, jobs that run go on to their end."""
    make(context, e.Deactivate(path, is_now))


@change_command("clear-error")
@click.argument("path", metavar="[INSTANCE]", default="")
@pass_context
def clear_error_command(context: Context, path: str) -> None:
    """Forget the errors of INSTANCE and of all inside of it, or of the whole project; failed jobs are tried again."""
    make(context, e.ClearError(path))


@change_command("force-rerun")
@click.argument("path", metavar="INSTANCE")
@pass_context
def force_rerun_command(context: Context, path: str) -> None:
    """Do the work of INSTANCE anew, from nothing, although its result stands."""
    make(context, e.ForceRerun(path))
