"""What an attempt ran: where the program lies, and by which hash the file that it is can be known again."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from copernicus.blobs.hashing import hash_file
from copernicus.model.jobs import Execution
from copernicus.plugin.executables import Executable
from copernicus.worker.environment import heeded_environment


def located(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command with the path of its program in place of its name."""
    return (_located(argv[0]), *argv[1:])


def executed(
    executable: Executable, own: Mapping[str, str], bytes_in: int, bytes_out: int, gpus: tuple[str, ...] = ()
) -> Execution:
    """Return what is known of one attempt at running `executable`; `own` is what programs see of the worker's environment."""
    program = located(executable.command)
    environment = heeded_environment(own, executable.environment)
    return Execution(program, program_hash(program), environment, bytes_in, bytes_out, gpus)


def program_hash(argv: tuple[str, ...]) -> str:
    """Return the hash of the program's file, or of the script that it is given as its first file; "" when there is none."""
    files = [word for word in argv if os.path.isabs(word) and os.path.isfile(word)]
    if not files:
        return ""
    path = files[min(1, len(files) - 1)]
    try:
        status = os.stat(path)
        return _hash(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except OSError:  # a program may be run that cannot be read
        return ""


@functools.lru_cache(maxsize=256)
def _hash(path: str, inode: int, size: int, modified_ns: int) -> str:
    return hash_file(Path(path))[0]


@functools.lru_cache(maxsize=256)
def _located(program: str) -> str:
    """Return the program's path, so that not every job searches the PATH."""
    return shutil.which(program) or program
