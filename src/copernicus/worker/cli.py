"""The program `cpc-worker`."""

from __future__ import annotations

import inspect
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import click

from copernicus._version import __version__
from copernicus.config.places import find_bundle_file
from copernicus.errors import UsageError
from copernicus.model.counts import counted
from copernicus.model.gpus import describe_gpus
from copernicus.net.bundle import read_bundle
from copernicus.plugin import registry
from copernicus.plugin.programs import is_program_name
from copernicus.plugin.registry import Absent, Found
from copernicus.program import File, Word, run
from copernicus.worker.agent import Agent, Options
from copernicus.worker.allocation import Allocation, find_allocation
from copernicus.worker.checkpoints import EVERY_S
from copernicus.worker.connection import ServerConnection
from copernicus.worker.doctor import looks
from copernicus.worker.gpus import Gpus, find_gpus
from copernicus.worker.place import Place
from copernicus.worker.platforms import Platform
from copernicus.worker.platforms.smp import usable_cores
from copernicus.worker.scripts import HEADERS, SUBMIT, TIME_S, job_script

CHECK_WORDS = ("check", "doctor")
MOST_CORES = 4096


class Minutes(click.FloatRange):
    """Minutes, of which there are so many or none; not a number is none either."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; fail as click does."""
        minutes = super().convert(value, param, ctx)
        if not math.isfinite(minutes):
            self.fail(f"{value!r} is not a number of minutes.", param, ctx)
        return minutes


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("platform", default="smp")
@click.argument("scheduler", required=False, metavar="")
@click.option(
    "-c", "--bundle", type=File(), metavar="FILE", help="The connection bundle (default: client.cnx in ~/.copernicus)."
)
@click.option("-p", "--project", type=Word(), metavar="PROJECT", help="Work for this project only.")
@click.option("-wd", "--work-dir", type=File(), metavar="DIR", help="Where work folders are made (default: here).")
@click.option("-q", "--quit-after", type=Minutes(), metavar="MINUTES", help="End after so long without a job.")
@click.option(
    "-n",
    "--cores",
    type=click.IntRange(1, MOST_CORES),
    metavar="CORES",
    help="Use so many cores (default: all that there are).",
)
@click.option(
    "-hf", "--hostfile", type=File(), metavar="FILE", help="Of platform mpi: hosts, with the cores of each (node1:8)."
)
@click.option(
    "-cph",
    "--cores-per-host",
    type=click.IntRange(1, MOST_CORES),
    metavar="CORES",
    help="With -hf: so many cores of each host.",
)
@click.option("-s", "--cores-per-job", type=click.IntRange(min=1), metavar="CORES", help="Give no job more cores than this.")
@click.option(
    "--time-left", metavar="SPEC", help="End in good order before this time is over: 90m, 4h, 1-12:00:00, or seconds."
)
@click.option(
    "--checkpoint-every",
    type=Minutes(),
    default=60.0,
    show_default=True,
    metavar="MINUTES",
    help="Bring checkpoints of running jobs to the server so often (0: only where a job asks for it).",
)
@click.option(
    "--allow", multiple=True, type=Word(), metavar="PROGRAM",
    help="Let jobs run this program of the PATH by name, or (python:MODULE) call functions of a Python module. "
    "Always: allow = [...] in ~/.copernicus/programs.toml.",
)  # fmt: skip
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(__version__, "--version", prog_name="cpc-worker", message="%(prog)s %(version)s")
def command(platform: str, scheduler: str | None, debug: bool, **options: Any) -> None:
    """Runs jobs of a Copernicus server on this machine.

    PLATFORM says where jobs run: "smp" (this host), "mpi" (hosts of an allocation) or what plug-ins add. `cpc-worker check`
    shows what would be announced, and what is missing, and ends. `cpc-worker script slurm` (pbs, lsf) prints a job script
    that starts a worker with these flags; in an allocation it reads cores, memory and time left from what the batch system
    says.
    """
    if platform == "script":
        script(scheduler or "", **options)
        return
    if scheduler is not None:
        raise click.UsageError(f"Got unexpected extra argument ({scheduler})")
    if platform in CHECK_WORDS:
        check(
            Options(options["cores_per_job"], options["project"]),
            options["cores"],
            options["bundle"],
            options["allow"],
            options["work_dir"],
        )
    else:
        work(platform, **options)


def work(
    name: str,
    bundle: Path | None,
    project: str | None,
    work_dir: Path | None,
    quit_after: float | None,
    cores: int | None,
    cores_per_job: int | None,
    time_left: str | None,
    checkpoint_every: float = 60.0,
    allow: Sequence[str] = (),
    hostfile: Path | None = None,
    cores_per_host: int | None = None,
) -> None:
    """Run a worker until it is told to stop; raise `CopernicusError`."""
    given = find_allocation()
    options = Options(
        cores_per_job=cores_per_job,
        project=project,
        quit_after_s=None if quit_after is None else quit_after * 60,
        time_left_s=least(None if time_left is None else parse_duration(time_left), given.left_s if given else None),
        checkpoint_every_s=checkpoint_every * 60 or None,
        memory_bytes=given.memory_bytes if given else None,
    )
    file = find_bundle_file(bundle)
    connection = ServerConnection(read_bundle(file), file)
    threading.Thread(target=connection.keep_renewed, args=(say,), name="renewal", daemon=True).start()
    more = {"hostfile": hostfile, "cores_per_host": cores_per_host}
    platform = find_platform(name, cores_of(given) if cores is None and name == "smp" else cores, more)
    if name == "smp" and cores is not None and cores > len(usable_cores()):
        click.echo(
            f"Note: this machine has {counted(len(usable_cores()), 'core')}; jobs share them, as -n {cores} says.", err=True
        )
    found, absent = programs_for(platform.name, allow)
    gpus = find_gpus()
    agent = Agent(options, platform, found, connection, Place(work_dir), say, gpus)
    say(f"Worker ID: {agent.worker}")
    tell_allocation(given, platform.name)
    tell_gpus(gpus)
    tell_programs(platform.name, found, absent)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _calling(agent.stop))
    agent.run()


def check(
    options: Options, cores: int | None, bundle: Path | None, allow: Sequence[str] = (), work_dir: Path | None = None
) -> None:
    """Show what a worker here would announce, what is missing, and whether it would reach its server and have room.

    The program ends with status 1 when something is wrong.
    """
    given = find_allocation()
    platform = find_platform("smp", cores if cores is not None else cores_of(given))
    found, absent = programs_for(platform.name, allow)
    say(f"Platform: {platform.name}, {counted(platform.cores, 'core')}")
    tell_allocation(given, platform.name)
    if options.cores_per_job:
        say(f"At most {counted(options.cores_per_job, 'core')} for a job")
    tell_gpus(find_gpus())
    tell_programs(platform.name, found, absent)
    platform.close()
    rows = list(looks(bundle, work_dir or Path()))
    for row in rows:
        say(str(row))
    if not all(row.is_well for row in rows):
        sys.exit(1)


def find_platform(name: str, cores: int | None, more: Mapping[str, Any] = MappingProxyType({})) -> Platform:
    """Return the platform with that name; raise `UsageError` when it is not there, cannot be loaded, or takes no such flags."""
    entries = {entry.name: entry for entry in registry.platforms()}
    entry = entries.get(name)
    if entry is None:
        raise UsageError(f"There is no platform {name!r}.", f"There are: {', '.join(sorted(entries))}.")
    if entry.error:
        raise UsageError(f"The platform {name} cannot be used: {entry.error}.")
    flags = {flag: value for flag, value in more.items() if value is not None}
    unknown = flags.keys() - inspect.signature(entry.loaded).parameters
    if unknown:
        raise UsageError(f"The platform {name} takes no --{min(unknown).replace('_', '-')}.")
    platform: Platform = entry.loaded(cores, **flags)
    return platform


def programs_for(platform: str, allow: Sequence[str] = ()) -> tuple[list[Found], list[Absent]]:
    """Return the executables for a platform that were found here, and what was not found; raise `UsageError`."""
    for name in allow:
        if not is_program_name(name):
            raise UsageError(
                f"{name!r} is no name of a program on the PATH.",
                "A program elsewhere is declared in a file of ~/.copernicus/executables.",
            )
    found, absent = registry.executables(allowed=allow)
    return [program for program in found if program.executable.platform == platform], absent


def script(scheduler: str, bundle: Path | None, cores: int | None, time_left: str | None, **flags: Any) -> None:
    """Print a job script that starts a worker with these flags; raise `CopernicusError`."""
    if scheduler not in HEADERS:
        known = ", ".join(HEADERS)
        raise UsageError(
            f"There is no job script for {scheduler!r}." if scheduler else "Say for which batch system.", f"There are: {known}."
        )
    file = find_bundle_file(bundle)
    argv = [str(Path(sys.argv[0]).absolute()) if "/" in sys.argv[0] else "cpc-worker", "-c", str(file.absolute())]
    names = (("project", "-p"), ("work_dir", "-wd"), ("cores_per_job", "-s"), ("checkpoint_every", "--checkpoint-every"))
    for name, flag in (*names, ("quit_after", "-q")):
        value = flags[name]
        if value is not None and not (name == "checkpoint_every" and value == EVERY_S / 60):
            argv += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    argv += [word for program in flags["allow"] for word in ("--allow", program)]
    if flags["quit_after"] is None:
        argv += ["-q", "10"]
    time_s = TIME_S if time_left is None else parse_duration(time_left)
    argv += ["--time-left", f"{time_s:.0f}"]  # few batch systems tell it
    click.echo(job_script(scheduler, [*argv, "smp"], cores, time_s), nl=False)
    click.echo(f"Write this to a file, and submit it: {SUBMIT[scheduler]} FILE", err=True)


def cores_of(given: Allocation | None) -> int | None:
    """Return how many cores of this host an allocation has, None: all that the process may use."""
    return None if given is None or given.cores is None else max(1, min(given.cores, len(usable_cores())))


def least(*limits: float | None) -> float | None:
    """Return the smallest of those limits that there are."""
    return min((limit for limit in limits if limit is not None), default=None)


def tell_allocation(given: Allocation | None, platform: str) -> None:
    """Print what the batch system has given, where there is one."""
    if given is None:
        return
    say(f"Allocation: {given.describe()}")
    if given.hosts > 1 and platform == "smp":
        click.echo(
            f"Note: of {given.hosts} hosts this worker uses one. Start one on each: srun, pbsdsh or blaunch cpc-worker …",
            err=True,
        )


def tell_gpus(gpus: Gpus) -> None:
    """Print which GPUs jobs can have, or why none."""
    say(f"GPUs: {describe_gpus(gpus.offered) or f'none ({gpus.why})'}")


def tell_programs(platform: str, found: list[Found], absent: list[Absent]) -> None:
    """Print what can be run, and what cannot, and why."""
    say(f"Available executables for platform {platform}:")
    for program in found:
        container = program.executable.container
        say(f"{program.executable.name} {program.version}" + (f" (in {Path(container.prefix[0]).name})" if container else ""))
    if not found:
        say("(none)")
    if absent:
        say("Not available:")
    for missing in absent:
        say(f"{missing.name}: {missing.why}")


def parse_duration(text: str) -> float:
    """Return seconds for "3600", "90m", "4h", "2d", "1:30:00", "1-12:00:00" (days-hours); raise `UsageError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if match:
        return float(match.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match.group(2)]
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+)(?::(\d+))?", text.strip())
    if match:
        days, *parts = (int(part or 0) for part in match.groups())
        has_hours = match.group(4) is not None or match.group(1) is not None
        hours, minutes, seconds = parts if has_hours else (0, parts[0], parts[1])
        return float(days * 86400 + hours * 3600 + minutes * 60 + seconds)
    raise UsageError(f"{text!r} is not a time.", "Write it like 90m, 4h, 1:30:00 or 1-12:00:00.")


def say(line: str) -> None:
    """Print a line at once: people and logs follow it. When nobody can read it any more, the work goes on all the same."""
    try:
        click.echo(line)
        sys.stdout.flush()
    except OSError:  # the terminal was closed, or the program behind a pipe has ended
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _calling(action: Callable[[], None]) -> Callable[[int, object], None]:
    def handler(number: int, frame: object) -> None:
        action()

    return handler


def main() -> NoReturn:
    """Run `cpc-worker`: a failure is one line on stderr and a status that is not 0 (2 when the command line is wrong)."""
    sys.exit(run(command, sys.argv[1:], "cpc-worker", is_debug=lambda: "--debug" in sys.argv))
