"""The command that prints completion scripts."""

from __future__ import annotations

import click

from copernicus.client.cli.context import command


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of SHELL. For bash, put into ~/.bashrc: eval "$(cpcc completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if found is not None:
        click.echo(found(root, {}, "cpcc", "_CPCC_COMPLETE").source())
