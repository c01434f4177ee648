"""What jobs of GROMACS run: `python -m copernicus.modules.gromacs.program GMX grompp|mdrun|join|tune …`."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from copernicus.modules.gromacs.mdp import merge
from copernicus.modules.gromacs.tuning import tune

QUIET = ("-quiet", "-nobackup")
THREAD_OPTIONS = frozenset({"-nt", "-ntmpi", "-ntomp"})
FRAME_TIME = re.compile(r"^\s*time:\s*(\S+)")
SHORTEST_STEP_PS = 1e-4


def grompp(gmx: str, arguments: Sequence[str]) -> NoReturn:
    """`--settings JSON MDP …`: write `settings.mdp`, with the settings in place, and run grompp on it."""
    _become(_grompp(gmx, arguments))


def _grompp(gmx: str, arguments: Sequence[str]) -> list[str]:
    flag, settings, mdp, *rest = arguments
    if flag != "--settings":
        raise SystemExit("usage: program GMX grompp --settings JSON MDP …")
    text = Path(mdp).read_text(encoding="utf-8", errors="surrogateescape")
    merged = merge(text, [(one["name"], one["value"]) for one in json.loads(settings)])
    Path("settings.mdp").write_text(merged, encoding="utf-8", errors="surrogateescape")
    return [gmx, *QUIET, "grompp", "-f", "settings.mdp", *rest]


def tune_mdrun(gmx: str, arguments: Sequence[str]) -> None:
    """`SECONDS --settings JSON MDP … -o TPR -- …`: prepare a run, and measure it on several numbers of cores; behind `--`
    options of mdrun."""
    seconds, *rest = arguments
    end = rest.index("--")
    done = subprocess.run(_grompp(gmx, rest[:end]), stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    tune([gmx, *QUIET], rest[end - 1], rest[end + 1 :], int(_cores()), float(seconds))


def mdrun(gmx: str, arguments: Sequence[str]) -> NoReturn:
    """Run mdrun on the cores that the worker gives; signals reach it directly.

    `--nsteps N` at the end: N steps in all. (mdrun's own `-nsteps` would mean so many more than the checkpoint has.)
    """
    if arguments[-2:-1] == ["--nsteps"]:
        arguments = _lasting(gmx, arguments[:-2], arguments[-1])
    threads = [] if THREAD_OPTIONS.intersection(arguments) else ["-nt", _cores()]
    # GROMACS divides the cores between ranks and threads itself; a fixed number of threads would forbid that.
    os.environ.pop("OMP_NUM_THREADS", None)
    _become([gmx, *QUIET, "mdrun", *threads, *arguments])


def _lasting(gmx: str, arguments: Sequence[str], nsteps: str) -> Sequence[str]:
    """Put the number of steps into a run input of its own, and return the arguments with that in place of the given one."""
    place = arguments.index("-s") + 1
    _run(gmx, "convert-tpr", "-s", arguments[place], "-nsteps", nsteps, "-o", "lasting.tpr")
    return [*arguments[:place], "lasting.tpr", *arguments[place + 1 :]]


def join(gmx: str, arguments: Sequence[str]) -> None:
    """`--xtc PART… --edr PART…`: join the parts of each kind into `joined.xtc` and so on; later parts win on overlap."""
    parts: dict[str, list[str]] = {}
    for argument in arguments:
        if argument.startswith("--"):
            kind = argument[2:]
            parts[kind] = []
        else:
            parts[kind].append(argument)
    for kind, names in parts.items():
        _join(gmx, kind, names)


def _join(gmx: str, kind: str, names: Sequence[str]) -> None:
    joined = f"joined.{kind}"
    if kind == "log":
        with open(joined, "wb") as target:
            for name in names:
                with open(name, "rb") as source:
                    shutil.copyfileobj(source, target)
    elif len(names) == 1:
        os.link(names[0], joined)
    elif kind == "edr":
        _run(gmx, "eneconv", "-f", *_without_overlap(gmx, names), "-o", joined)
    else:
        _run(gmx, "trjcat", "-f", *names, "-o", joined)


def _without_overlap(gmx: str, names: Sequence[str]) -> list[str]:
    """Cut each energy file off before the next one begins: eneconv alone would keep that frame twice."""
    kept: list[str] = []
    next_start_ps = math.inf
    for number, name in reversed(list(enumerate(names))):
        start_ps = _first_time_ps(gmx, name)
        if start_ps is None or start_ps >= next_start_ps:
            continue
        if next_start_ps < math.inf:
            cut = f"cut_{number}.edr"
            _run(gmx, "eneconv", "-f", name, "-e", repr(next_start_ps - SHORTEST_STEP_PS), "-o", cut)
            name = cut
        kept.insert(0, name)
        next_start_ps = start_ps
    return kept


def _first_time_ps(gmx: str, edr: str) -> float | None:
    """Return the time of an energy file's first frame, None when it has none."""
    command = [gmx, *QUIET, "dump", "-e", edr]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        times = (FRAME_TIME.search(line) for line in process.stdout)
        first = next((time for time in times if time), None)
        process.kill()
    return float(first.group(1)) if first else None


def _run(gmx: str, *arguments: str) -> None:
    done = subprocess.run([gmx, *QUIET, *arguments], stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def _cores() -> str:
    return os.environ.get("CPC_CORES") or os.environ.get("OMP_NUM_THREADS") or "1"


def _become(argv: Sequence[str]) -> NoReturn:
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - signals of the worker are to reach the program itself
    except OSError as error:
        raise SystemExit(f"{argv[0]} cannot be started: {error.strerror}") from None


COMMANDS: dict[str, Callable[[str, Sequence[str]], None]] = {"grompp": grompp, "mdrun": mdrun, "join": join, "tune": tune_mdrun}


def main(argv: Sequence[str]) -> int:
    """Run one of the programs."""
    if len(argv) < 2 or argv[1] not in COMMANDS:
        raise SystemExit(f"usage: program GMX {'|'.join(COMMANDS)} …")
    COMMANDS[argv[1]](argv[0], argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
