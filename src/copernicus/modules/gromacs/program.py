"""What jobs of GROMACS run: `python -m copernicus.modules.gromacs.program GMX grompp|mdrun|join …`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from copernicus.modules.gromacs.mdp import merge

QUIET = ("-quiet", "-nobackup")
THREAD_OPTIONS = frozenset({"-nt", "-ntmpi", "-ntomp"})
JOINED = {"xtc": "trjcat", "trr": "trjcat", "edr": "eneconv", "log": ""}


def grompp(gmx: str, arguments: Sequence[str]) -> NoReturn:
    """`--settings JSON MDP …`: write `settings.mdp`, with the settings in place, and run grompp on it."""
    flag, settings, mdp, *rest = arguments
    if flag != "--settings":
        raise SystemExit("usage: program GMX grompp --settings JSON MDP …")
    text = Path(mdp).read_text(encoding="utf-8", errors="surrogateescape")
    merged = merge(text, [(one["name"], one["value"]) for one in json.loads(settings)])
    Path("settings.mdp").write_text(merged, encoding="utf-8", errors="surrogateescape")
    _become([gmx, *QUIET, "grompp", "-f", "settings.mdp", *rest])


def mdrun(gmx: str, arguments: Sequence[str]) -> NoReturn:
    """Run mdrun on the cores that the worker gives; signals reach it directly."""
    threads = [] if THREAD_OPTIONS.intersection(arguments) else ["-nt", _cores()]
    # GROMACS divides the cores between ranks and threads itself; a fixed number of threads would forbid that.
    os.environ.pop("OMP_NUM_THREADS", None)
    _become([gmx, *QUIET, "mdrun", *threads, *arguments])


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
    if not JOINED[kind]:
        with open(joined, "wb") as target:
            for name in names:
                target.write(Path(name).read_bytes())
    elif len(names) == 1:
        os.link(names[0], joined)
    else:
        done = subprocess.run([gmx, *QUIET, JOINED[kind], "-f", *names, "-o", joined], stdin=subprocess.DEVNULL, check=False)
        if done.returncode or not Path(joined).is_file():
            raise SystemExit(done.returncode or 1)


def _cores() -> str:
    return os.environ.get("CPC_CORES") or os.environ.get("OMP_NUM_THREADS") or "1"


def _become(argv: Sequence[str]) -> NoReturn:
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - signals of the worker are to reach the program itself
    except OSError as error:
        raise SystemExit(f"{argv[0]} cannot be started: {error.strerror}") from None


COMMANDS: dict[str, Callable[[str, Sequence[str]], None]] = {"grompp": grompp, "mdrun": mdrun, "join": join}


def main(argv: Sequence[str]) -> int:
    """Run one of the programs."""
    if len(argv) < 2 or argv[1] not in COMMANDS:
        raise SystemExit(f"usage: program GMX {'|'.join(COMMANDS)} …")
    COMMANDS[argv[1]](argv[0], argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
