"""The command `run`: a program many times over, without a workflow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from copernicus.client.cli.context import Command, Context, pass_context, preview_option
from copernicus.client.cli.transactions import show_preview
from copernicus.model.counts import counted
from copernicus.program import Word
from copernicus.terminal import is_terminal

if TYPE_CHECKING:
    from copernicus.client.bags import Bag, BagSpec, Ended, Progress
    from copernicus.model.edits import Edit

SHOWN_FAILURES, SHOWN_JOBS = 10, 40
_MANY = ("--in", "--out")


class RunCommand(Command):
    """A command whose flags --in and --out take all the words that follow, where `--` says where the program begins."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat --in and --out before each of their words."""
        return super().parse_args(ctx, _spread(args))


def _spread(words: list[str]) -> list[str]:
    if "--" not in words:
        return words
    end = words.index("--")
    spread: list[str] = []
    flag = ""
    for place, word in enumerate(words[:end]):
        if word in _MANY:
            if words[place + 1].startswith("-"):
                raise click.UsageError(f"{word} needs a {'file' if word == '--in' else 'pattern'} behind it.")
            flag = word
        elif word.startswith("-"):
            flag = ""
            spread.append(word)
        else:
            spread += [flag, word] if flag else [word]
    return spread + words[end:]


@click.command("run", cls=RunCommand, context_settings={"allow_interspersed_args": False})
@click.option(
    "--n", "-n", "repeats", type=click.IntRange(min=1), default=1, help="Run it so often, each time with another {seed}."
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    type=Word(),
    metavar="NAME=A:B:STEP",
    help="Values for {NAME}, from A to B in steps, or NAME=x,y,z. Several sweeps: every combination.",
)
@click.option("--in", "files", multiple=True, type=Word(), metavar="FILE…", help="Files that it needs, in its work folder.")
@click.option("--out", "outputs", multiple=True, type=Word(), metavar="PATTERN…", help="Files to bring back, such as '*.xtc'.")
@click.option("--extract", default="", metavar="REGEX", help="The first group of its match in stdout is the job's number.")
@click.option("--name", default="", metavar="NAME", help="Name of the instance (default: after the program).")
@click.option("-cores", "--cores", type=click.IntRange(min=1), default=1, help="Cores for each job.")
@click.option("--priority", type=click.IntRange(-30, 30), default=0, help="Higher goes first.")
@click.option("--seed", type=int, default=1, help="From which the jobs' own seeds are made.")
@click.option("--wait", "is_waiting", is_flag=True, help="Wait for the end, and tell what failed.")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGUMENT]…")
@pass_context
def run_command(
    context: Context,
    /,
    program: tuple[str, ...],
    sweeps: tuple[str, ...],
    files: tuple[str, ...],
    name: str,
    is_waiting: bool,
    **settings: Any,
) -> int:
    """Run PROGRAM on the workers, as one job or as many.

    In its arguments {i} is the number of the job, {seed} its seed, {NAME} a value of --sweep NAME=…; a value never
    becomes more than one argument, and no shell sees it. What it prints is kept, and the files that --out names.

    PROGRAM is what a worker offers: an executable of its owner, or a program that the owner allows (cpc-worker --allow).
    """
    from copernicus.client.bags import BagSpec, read_sweep
    from copernicus.errors import UsageError

    values: dict[str, list[str]] = {}
    for text in sweeps:
        parameter, given = read_sweep(text)
        if parameter in values:
            raise UsageError(f"There are two sweeps of {parameter}.", "Write all its values into one: NAME=x,y,z")
        values[parameter] = given
    spec = BagSpec(program, sweep=values, files=files, **settings)
    spec.check()
    name, edits = _asked_for(context, spec, name)
    if context.is_preview:
        show_preview(context, edits)
        return 0
    bag = _made(context, spec, name, edits)
    if not is_waiting:
        answer = {"instance": bag.name, "project": bag.project.name, "jobs": bag.jobs}
        context.show(answer, lambda: _how_to_follow(bag, spec))
        return 0
    context.say(f"{bag.name}: {_jobs(bag.jobs)} of {spec.command[0]}. Ctrl-C ends the waiting, not the jobs.")
    progress = bag.wait(_teller(context))
    rows = bag.rows()
    answer = {"instance": bag.name, "project": bag.project.name, "done": progress.done, "failed": progress.failed, "jobs": rows}
    context.show(answer, lambda: _summary(bag, progress, rows))
    return 1 if progress.failed else 0


run_command.params.append(preview_option())


def _asked_for(context: Context, spec: BagSpec, name: str) -> tuple[str, list[Edit]]:
    """The name of the instance, and the edits that make it; files are sent."""
    from copernicus.client.bags import free_name
    from copernicus.client.cli.progress import bar
    from copernicus.errors import Refused

    project = context.project
    if context.staging.load() is not None:
        raise Refused("A transaction is open, and a bag of jobs begins at once.", "First: cpcc commit (or cpcc rollback)")
    name = name or free_name(project, spec.command[0])
    references = []
    for file in spec.files:
        with bar(f"Sending {file}") as progress:
            references.append(context.client.upload(file, progress))
    return name, spec.edits(name, references)


def _made(context: Context, spec: BagSpec, name: str, edits: list[Edit]) -> Bag:
    from copernicus.client.bags import Bag, workers_with

    project = context.project
    project.apply(edits)
    if workers_with(context.client, spec.command[0]) == 0:
        context.note(
            f"Note: no worker offers {spec.command[0]} now; the jobs wait for one. If it is a program on the worker's PATH, "
            f"its owner can allow it: cpc-worker --allow {spec.command[0]} smp"
        )
    return Bag(project, name, spec.jobs)


def _how_to_follow(bag: Bag, spec: BagSpec) -> Iterator[str]:
    yield f"{bag.name}: {_jobs(bag.jobs)} of {spec.command[0]}."
    yield f"  how far they are   cpcc ls {bag.name}:jobs"
    yield f"  what came out      cpcc get {bag.name}:out.table   (when all are done; before that: cpcc ls {bag.name}:out)"
    yield f"  what one printed   cpcc getf -f - {bag.name}:out.stdout[0]"
    if spec.outputs:
        yield f"  a file of one      cpcc getf {bag.name}:out.files[0][0]"
    yield f"  why not            cpcc why {bag.name}"
    yield f"  more of them       cpcc set {bag.name}:in.repeats {spec.repeats * 2}"


def _teller(context: Context) -> Callable[[Progress], None]:
    from copernicus.client.output import text

    def tell(progress: Progress) -> None:
        states = text.counts(progress.states) or "about to begin"
        context.note(f"{progress.done + progress.failed} of {progress.jobs} ended ({states})")

    return tell if is_terminal(sys.stderr) else lambda progress: None


def _summary(bag: Bag, progress: Progress, rows: Sequence[Ended]) -> Iterator[str]:
    from copernicus.client.output import text

    if len(rows) <= SHOWN_JOBS:
        has_numbers = any(row.number is not None for row in rows)
        head = ("JOB", *rows[0].values, "SEED", "STATE", *(["NUMBER"] if has_numbers else []))
        cells = [
            (str(row.job), *row.values.values(), str(row.seed), "done" if row.state == "idle" else row.state,
             *(["" if row.number is None else repr(row.number)] if has_numbers else []))
            for row in rows
        ]  # fmt: skip
        yield from text.table(head, cells)
    failed = f", {progress.failed} failed" if progress.failed else ""
    yield f"{bag.name}: {progress.done} of {_jobs(progress.jobs)} done{failed}."
    for row in [row for row in rows if row.state == "error"][:SHOWN_FAILURES]:
        yield f"  {bag.name}:jobs:run_{row.job}: {text.clean(row.why)}"
    if progress.failed > SHOWN_FAILURES:
        yield f"  and {progress.failed - SHOWN_FAILURES} more: cpcc ls {bag.name}:jobs"
    if progress.failed:
        yield f"Try these again: cpcc clear-error {bag.name}"
    yield f"What came out: cpcc ls {bag.name}:out"


def _jobs(count: int) -> str:
    return counted(count, "job")
