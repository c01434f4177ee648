"""`python -m copernicus.demo`: adaptive sampling of alanine dipeptide on a server and two workers of its own."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
from rich.console import Console

from copernicus.client.api import Client
from copernicus.demo.display import Progress, summary
from copernicus.demo.programs import DemoFailed, Programs
from copernicus.demo.workflow import FULL, INSTANCE, PICTURES, PROJECT, QUICK, Size, create_project, fetch_results, look
from copernicus.errors import CopernicusError, Unavailable

WORKERS = 2
_LOOK_EVERY_S = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody wants the demo to end; no fault of anything, so nothing but the end may catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="A small run: about half a minute in place of two.")
@click.option("--keep", is_flag=True, help="Leave the server and its workers running, and say how to use them.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the results go (default: ./cpc-demo-<date>-<time>).")
@click.option("--seed", default=2, show_default=True, help="Of the simulations' random numbers.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
def main(quick: bool, keep: bool, folder: Path | None, seed: int, debug: bool) -> None:
    """Adaptive sampling of a real molecule, alanine dipeptide, on a server and two workers that the demo starts itself.

    Simulations with OpenMM and the Markov models made of them are jobs; the workflow decides where to simulate next. At
    the end there are populations and timescales with error bars, and pictures.
    """
    console = Console()
    place = folder or Path(time.strftime("cpc-demo-%Y%m%d-%H%M%S"))
    try:
        with signals_as_exceptions():
            run(console, QUICK if quick else FULL, place, keep, seed)
    except Interrupted as interrupted:
        click.echo("Interrupted; nothing is left running.", err=True)
        sys.exit(128 + interrupted.number)
    except CopernicusError as error:
        if debug:
            raise
        click.echo(f"demo: {error}", err=True)
        sys.exit(1)


def run(console: Console, size: Size, place: Path, keep: bool, seed: int) -> None:
    """Run the demo from start to end; whatever happens, leave nothing behind but results (and, with `keep`, the system)."""
    begun = time.monotonic()
    is_new = make_empty_folder(place)
    programs = Programs(place / "system")
    is_left_running = False
    try:
        console.print("Starting a server and two workers …")
        programs.start_server()
        for _ in range(WORKERS):
            programs.start_worker()
        with Client.connect(programs.bundle) as client:
            follow(console, client, programs, size, place, seed)
        console.print(f"Done in {time.monotonic() - begun:.0f} s. In the folder {place}:", highlight=False, soft_wrap=True)
        for picture, what in PICTURES.items():
            console.print(f"  {picture:24} {what}", highlight=False)
        if keep:
            is_left_running = True
            explain_use(console, programs)
    finally:
        with deaf_to_signals():
            if not is_left_running:
                programs.end()
            if is_new:
                with contextlib.suppress(OSError):  # not empty: there are results
                    place.rmdir()


def follow(console: Console, client: Client, programs: Programs, size: Size, place: Path, seed: int) -> None:
    """Make the project, show how it goes, and at its end print the summary and fetch the pictures."""
    deadline = time.monotonic() + size.deadline_s
    project = create_project(client, size, programs.folder / "structures", seed)
    with Progress(console, size) as progress:
        while True:
            programs.check()
            with contextlib.suppress(Unavailable):  # asked again; `check` notices when the server is gone for good
                standing = look(project)
                progress.show(standing)
                if standing.is_finished:
                    break
            if time.monotonic() > deadline:
                raise DemoFailed(f"It has not finished within {size.deadline_s:g} s.", "Is the machine very busy?")
            time.sleep(_LOOK_EVERY_S)
    results = fetch_results(project, place)
    write_results(results, place)
    summary(console, results)


def write_results(results: dict[str, Any], place: Path) -> None:
    """Write the summary as text and as JSON beside the pictures."""
    (place / "summary.json").write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
    with (place / "summary.txt").open("w", encoding="utf-8") as file:
        summary(Console(file=file, width=110), results)


def make_empty_folder(place: Path) -> bool:
    """Make the folder for the results, and return whether it is new; raise `DemoFailed` when something is in it already."""
    try:
        is_new = not place.exists()
        place.mkdir(parents=True, exist_ok=True)
        if any(place.iterdir()):
            raise DemoFailed(f"The folder {place} is not empty.", "Give another one with --folder.")
    except OSError as error:
        raise DemoFailed(f"The folder {place} cannot be used: {error.strerror}.", "Give another one with --folder.") from None
    return is_new


def explain_use(console: Console, programs: Programs) -> None:
    """Say how to go on with the system that is left running."""
    settings = shlex.quote(str(programs.settings.absolute()))
    path = shlex.quote(str(Path(sys.executable).parent))
    workers = " ".join(str(worker.process.pid) for worker in programs.workers)
    for line in (
        "", "The server and its workers go on. To use them:",
        f"  export CPC_CONF_HOME={settings} PATH={path}:$PATH",
        f"  cpcc -p {PROJECT} ls {INSTANCE}",
        f"  cpcc -p {PROJECT} get {INSTANCE}:out.populations",
        f"  cpcc -p {PROJECT} set {INSTANCE}:in.num_generations 20        # it goes on simulating",
        "To end them:",
        f"  kill {workers}; cpc-server stop",
    ):  # fmt: skip
        console.print(line, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise `Interrupted` where the main thread is when a signal asks for the end."""

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Let nothing interrupt the cleaning up."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
