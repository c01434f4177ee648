"""All that a job needs in one folder: its input files, checked, and a script that runs it without any server."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from copernicus.client.files import download
from copernicus.errors import Refused, UsageError
from copernicus.model.counts import counted
from copernicus.model.jobs import JobDescription, Output
from copernicus.net.transfer import Progress
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.net.caller import Caller

SCRIPT = "run.sh"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OPENMM_CPU_THREADS")


def fetch(caller: Caller, project: str, job: int, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Write the inputs of a job and `run.sh` into `folder`, which is made, or must be empty; return what was written.

    Raise `UsageError` when it cannot be written, `Refused` when there is something in it, or a file is called like nothing
    that belongs into it, `CorruptData` when a file is not what it was.
    """
    reply = caller.call(m.JobRequest(project, job))
    for staged in reply.description.files:
        if not _is_inside(staged.name):
            raise Refused(f"Job {job} has a file {staged.name[:80]!a}, which would lie outside of {folder}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Refused(f"There is something in {folder}.", "Name a new folder, or an empty one.")
        written = []
        for staged in reply.description.files:
            target = folder / staged.name
            target.parent.mkdir(parents=True, exist_ok=True)
            written.append(download(caller, staged.file, target, progress))
        target = folder / SCRIPT
        target.write_text(script(project, reply), encoding="utf-8")
        target.chmod(0o755)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}.", "Name another place.") from None
    return [*written, target]


def script(project: str, reply: m.JobReply) -> str:
    """Return the script that runs a job: what it is in comments, then its environment and its command, quoted."""
    job = reply.description
    last = next((run for run in reversed(reply.runs) if run.outcome == "finished"), reply.runs[-1] if reply.runs else None)
    lines = ["#!/bin/sh", *map(_comment, _about(project, reply, last))]
    lines += ['cd "$(dirname "$0")" || exit 1']
    environment = dict.fromkeys(THREADS, str(last.cores)) if last is not None else {}
    environment |= (dict(last.execution.environment) if last is not None else {}) | job.environment
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items() if name.isidentifier()]
    return "\n".join([*lines, *_command(job, last), ""])


def _about(project: str, reply: m.JobReply, last: m.Run | None) -> list[str]:
    job = reply.description
    lines = [f"Job {reply.job} of {reply.path}, project {project}", f"Executable: {job.executable} {job.versions}".rstrip()]
    if last is not None:
        where = f"on {last.hostname or 'an unknown host'}" + (f" ({last.site})" if last.site else "")
        spent = f"{counted(last.cores, 'core')}, {last.core_s:.1f} core-seconds"
        lines.append(f"It ran {where} with version {last.version or 'unknown'}: {spent}")
        if last.execution.program_hash:
            lines.append(f"BLAKE3 of the program: {last.execution.program_hash}")
    if job.seed is not None:
        lines.append(f"Random seed: {job.seed}")
    if job.done_when:
        lines.append(f"It has finished when there is: {job.done_when}")
    lines += [f"Output {name}: {_expected(output)}" for name, output in job.outputs.items()]
    if reply.checkpoint:
        lines.append(f"It would go on from a checkpoint: {', '.join(one.name for one in reply.checkpoint)} (not fetched)")
    return lines


def _expected(output: Output) -> str:
    optional = ", if there is one" if output.is_optional else ""
    match output.kind:
        case "file":
            return f"the last file {output.pattern}{optional}"
        case "files":
            return f"the files {', '.join(output.pattern.splitlines())}{optional}"
        case "json":
            return f"what stands in {output.pattern}{optional}"
        case "value":
            return "known beforehand"
    what = f"the first group of {output.pattern!r} in {output.source}" if output.pattern else f"the text of {output.source}"
    return f"{what}{optional}"


def _command(job: JobDescription, last: m.Run | None) -> list[str]:
    """The program where it was, or where it is found here; `PROGRAM` overrides that."""
    known = last.execution.program if last is not None and last.execution.program else ()
    name, *more = known or (PurePosixPath(job.executable).name,)
    arguments = " ".join(map(shlex.quote, [*more, *job.arguments]))
    short = PurePosixPath(name).name
    return [
        f"program=${{PROGRAM:-{shlex.quote(name)}}}",
        f'[ -x "$program" ] || program=$(command -v "$program" || command -v {shlex.quote(short)}) || {{',
        f"  echo {shlex.quote(f'{short} is not here; say where it is: PROGRAM=/path/to/it ./{SCRIPT}')} >&2",
        "  exit 127",
        "}",
        f'exec "$program" {arguments}'.rstrip(),
    ]


def _comment(line: str) -> str:
    return "# " + "".join(letter if letter.isprintable() else "?" for letter in line)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and "\0" not in name and not path.is_absolute() and ".." not in path.parts and name != SCRIPT
