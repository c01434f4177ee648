"""The command that shows how instances are connected."""

from __future__ import annotations

import click

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.errors import UsageError


@command("graph")
@click.argument("path", default="", metavar="[PATH]")
@click.option("--dot", "is_dot", is_flag=True, help="Print it in the language of Graphviz.")
@click.option("--svg", "is_svg", is_flag=True, help="Print it as a picture: cpcc graph --svg > graph.svg")
@pass_context
def graph_command(context: Context, path: str, is_dot: bool, is_svg: bool) -> None:
    """Show how the instances of the project, or those inside of the instance PATH, are connected."""
    from copernicus.client.output import drawing, graph

    if is_dot and is_svg:
        raise UsageError("One of --dot and --svg is enough.", "Leave one away.")
    reply = context.project.graph(path)
    if is_dot or is_svg:
        text = graph.dot(reply) if is_dot else drawing.svg(reply)
        context.show({"dot" if is_dot else "svg": text}, lambda: [text.rstrip("\n")])
        return
    context.show(reply, lambda: graph.lines(reply))
