"""The command that follows a project: a live view in a terminal, lines or JSON elsewhere."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import live, text
from copernicus.client.watching import View, views
from copernicus.terminal import is_terminal

KEY_S = 0.1


@command("watch")
@click.argument("path", default="", metavar="[PATH]")
@click.option("--until-idle", "ends_idle", is_flag=True, help="End when nothing runs and no job waits.")
@click.option("--lines", "is_lines", is_flag=True, help="A line for each change, also in a terminal.")
@pass_context
def watch_command(context: Context, path: str, ends_idle: bool, is_lines: bool) -> None:
    """Follow the project, or what is inside of the instance PATH: states, notes, errors, jobs with their progress, workers.

    In a terminal it fills the screen until q or Ctrl-C; elsewhere it prints a line for each change, with --json an object.
    """
    found = views(context.project, path)
    if context.is_json or is_lines or text.columns() is None or not is_terminal(sys.stdin):
        _print(context, found, ends_idle)
    else:
        _show(found, ends_idle)


def _print(context: Context, found: Iterator[View], ends_idle: bool) -> None:
    from copernicus.client.output import json

    before: View | None = None
    try:
        for view in found:
            if context.is_json:
                status = view.status
                answer = {"seq": status.seq, "states": status.states, "jobs": status.jobs, "running": view.running,
                          "changed": live.changed(view, before), "errors": status.errors, "away": view.away}  # fmt: skip
                click.echo(json.line(answer))
            else:
                context.say(live.news(view, before))
            sys.stdout.flush()
            before = view
            if ends_idle and view.is_at_rest and not view.away:
                return
    except KeyboardInterrupt:
        return  # that is how it is ended


def _show(found: Iterator[View], ends_idle: bool) -> None:
    """Fill the screen; the server is asked in a thread, so that keys are heard at once."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    arrived: queue.Queue[View | Exception] = queue.Queue()
    threading.Thread(target=_ask, args=(found, arrived), daemon=True).start()
    console = Console()
    view: View | None = None
    size = console.size
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as display:
        while True:
            news = _next(arrived)
            if isinstance(news, Exception):
                raise news
            if news is not None or console.size != size:
                view, size = news or view, console.size
                if view is not None:
                    shown = live.screen(view, size.width, size.height)
                    display.update(Text.from_ansi("\n".join(shown)), refresh=True)
            if pressed() or (ends_idle and news is not None and news.is_at_rest):
                return


def _ask(found: Iterator[View], arrived: queue.Queue[View | Exception]) -> None:
    try:
        for view in found:
            arrived.put(view)
    except Exception as error:
        arrived.put(error)


def _next(arrived: queue.Queue[View | Exception]) -> View | Exception | None:
    try:
        return arrived.get(timeout=KEY_S)
    except queue.Empty:
        return None


@contextmanager
def _keys() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether q (or Ctrl-C) was pressed; keys are not shown meanwhile."""
    import os
    import select
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed() -> bool:
        if not select.select([descriptor], [], [], 0)[0]:
            return False
        typed = os.read(descriptor, 64)
        return not typed or any(key in typed for key in (b"q", b"Q", b"\x03", b"\x04"))

    try:
        tty.setcbreak(descriptor)
        yield pressed
    except KeyboardInterrupt:
        pass
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
