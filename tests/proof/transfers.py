"""Files on slow cables that are cut in the middle: by a client, to a worker, and back from it; each goes on at its byte."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable

from tests.proof.apart import ApartSystem
from tests.proof.checker import Finding
from tests.proof.lan import Machine, Shape
from tests.proof.part import Result
from tests.proof.test_cut_transfer import make_file, make_module, sha256

MIB = 1024 * 1024
SIZE = 8 * MIB
SPEED_KB_S = 4000
AWAY_S = 0.8
WAITS_S = 120.0


class Cutter(threading.Thread):
    """Cuts a machine off when so many bytes have come in (or gone out), and once more later, for a moment each time."""

    def __init__(self, machine: Machine, *, is_incoming: bool, after: list[int], shapes: list[Shape]) -> None:
        super().__init__(daemon=True)
        self.made = 0
        self._machine, self._place = machine, 0 if is_incoming else 1
        self._cuts = list(zip(after, shapes, strict=True))
        self._began = self.passed()
        self._is_over = threading.Event()

    def passed(self) -> int:
        """Bytes that passed in the direction that is looked at."""
        return self._machine.bytes()[self._place]

    def run(self) -> None:
        """Wait for the bytes, and cut."""
        for after, shape in self._cuts:
            while self.passed() - self._began < after:
                if self._is_over.wait(0.02):
                    return
            with self._machine.cut(shape):
                self._is_over.wait(AWAY_S)
            self.made += 1

    def end(self) -> int:
        """Stop looking; return how many bytes have passed."""
        self._is_over.set()
        self.join()
        return self.passed() - self._began


def cut_transfers(system: ApartSystem, chance: random.Random, cuts: int, result: Result) -> list[Finding]:
    """Send a file in, let a job copy it, fetch it back, with so many cuts each time. Return what must not be.

    One cut of each transfer breaks the connection for certain; with more, that need not be known to both ends of it.
    """
    system.setup(heartbeat_s=20)
    make_module(system.home / "modules" / "large")
    system.start()
    for words in (["start", "large"], ["instance", "large::copy", "one"]):
        system.cpcc(*words)
    source, target = system.folder / "large.bin", system.folder / "back.bin"
    wanted = make_file(source, SIZE)
    found = list[Finding]()

    def travels(what: str, machine: Machine, is_incoming: bool, action: Callable[[], object]) -> None:
        """Do something that moves the file, with cuts; judge how much travelled."""
        after = sorted(int(SIZE * chance.uniform(0.5, 0.9)) for _ in range(cuts))
        shapes: list[Shape] = [chance.choice(("reset", "silent", "cable", "mute", "deaf")) for _ in after]
        shapes[chance.randrange(cuts)] = chance.choice(("reset", "forgotten")) if cuts > 1 else "reset"
        cutter = Cutter(machine, is_incoming=is_incoming, after=after, shapes=shapes)
        cutter.start()
        action()
        passed = cutter.end()
        for shape in shapes[: cutter.made]:
            result.count("partitions")
            result.count("cut transfers")
            result.count(shape)
        most = SIZE * 1.06 + len(after) * 1.3 * MIB
        if cutter.made < len(after):
            found.append(Finding("unexpected", f"{what}: only {cutter.made} cuts were made, {passed} bytes passed"))
        if not SIZE <= passed <= most:
            found.append(Finding("unexpected", f"{what}: {passed / SIZE:.2f} of the file travelled ({after}, {shapes})"))

    with system.server.slow(SPEED_KB_S):
        travels("upload by a client", system.server, True, lambda: _cpcc(system, "setf", "one:in.file", str(source)))
        worker = system.add_worker("-n", "1")
        place = system.places[-1]
        travels("to a worker and back", place, True, lambda: _work(system))
        travels("download by a client", system.server, False, lambda: _cpcc(system, "getf", "-f", str(target), "one:out.copy"))
    if sha256(target) != wanted:
        found.append(Finding("lost", "what came back is not what was sent"))
    if worker.process.poll() is not None:
        found.append(Finding("unexpected", "the worker ended"))
    return found


def _cpcc(system: ApartSystem, *words: str) -> subprocess.CompletedProcess[str]:
    return system.run(["cpcc", *words], deadline_s=WAITS_S)


def _work(system: ApartSystem) -> None:
    _cpcc(system, "activate", "one")
    ends_at = time.monotonic() + WAITS_S
    while not system.ask("get", "one:out.copy"):
        if time.monotonic() > ends_at:
            raise TimeoutError("the job that copies the file has not ended")
        time.sleep(0.1)
