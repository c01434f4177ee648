"""Running a small program to see what it says: bounded in time and output, and with nothing left of it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PROBE_LIMIT_S = 60.0
PROBE_LIMIT_BYTES = 1024**2
_LAST_S = 0.2


class Unanswered(Exception):
    """The program said nothing that could be used; the text says why."""


@dataclass(frozen=True)
class Answer:
    """What a program said."""

    status: int
    stdout: str
    stderr: str


def ask(argv: Sequence[str], limit_s: float = PROBE_LIMIT_S, environment: Mapping[str, str] | None = None) -> Answer:
    """Run a program and return what it printed; raise `Unanswered` when it does not end in time, or prints without end.

    It gets no input. What it started in its own process group is ended with it.
    """
    try:
        process = subprocess.Popen(
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env=environment,
        )  # fmt: skip
    except FileNotFoundError:
        raise Unanswered(f"there is no program {argv[0]} on the PATH") from None
    except PermissionError:
        raise Unanswered(f"{argv[0]} may not be executed") from None
    except (OSError, ValueError) as error:
        raise Unanswered(f"{argv[0]} cannot be started: {getattr(error, 'strerror', None) or error}") from None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        told = _told(process, time.monotonic() + limit_s)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
    stdout, stderr = (text.decode("utf-8", "replace") for text in told)
    return Answer(process.returncode, stdout, stderr)


def _told(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """What it prints until it has ended, and both streams are closed or nothing more comes."""
    told: dict[int, bytearray] = {}
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            selector.register(stream.fileno(), selectors.EVENT_READ)
            told[stream.fileno()] = bytearray()
        while selector.get_map():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise Unanswered(f"{_name(process)} did not end in time")
            ready = selector.select(min(left_s, _LAST_S))
            if not ready and process.poll() is not None:
                break  # something that it started holds the streams open
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                told[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
                if len(told[key.fd]) > PROBE_LIMIT_BYTES:
                    raise Unanswered(f"{_name(process)} printed more than {PROBE_LIMIT_BYTES >> 20} MiB")
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise Unanswered(f"{_name(process)} did not end in time") from None
    stdout, stderr = told.values()
    return bytes(stdout), bytes(stderr)


def _name(process: subprocess.Popen[bytes]) -> str:
    assert isinstance(process.args, list)
    return " ".join(map(str, process.args))
