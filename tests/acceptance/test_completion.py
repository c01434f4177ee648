"""Completion as somebody sees it who presses the tab key in a real bash."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from copernicus.testing.system import System

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
DEADLINE_S = 60.0


class Bash:
    """An interactive bash in a terminal of its own, with the completion script loaded."""

    def __init__(self, system: System) -> None:
        self._terminal, theirs = pty.openpty()
        environment = {**system.environment, "PS1": "ready> ", "TERM": "dumb", "COLUMNS": "200", "INPUTRC": os.devnull}
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"], cwd=system.folder, env=environment, stdin=theirs, stdout=theirs,
            stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.type('eval "$(cpcc completion bash)"; echo load""ed\n', "loaded")

    def type(self, keys: str, until: str) -> str:
        """Type, and return what the terminal shows once it shows `until`."""
        os.write(self._terminal, keys.encode())
        shown, ends_at = "", time.monotonic() + DEADLINE_S
        while until not in shown:
            assert time.monotonic() < ends_at, f"{until!r} does not come: {shown!r}"
            if select.select([self._terminal], [], [], 0.2)[0]:
                shown += os.read(self._terminal, 4096).decode(errors="replace").replace("\a", "")
        return shown

    def clear(self) -> None:
        """Forget the line."""
        self.type("\x15\necho cle''ared\n", "cleared")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@pytest.fixture
def bash(system: System) -> Iterator[Bash]:
    """Bash beside a server with a project that has an instance of each kind."""
    system.setup()
    system.start()
    system.cpcc("start", "molecules")
    system.cpcc("instance", "math::add", "summation")
    system.cpcc("instance", "ensemble::sweep", "temperatures")
    bash = Bash(system)
    yield bash
    bash.close()


def test_commands_projects_instances_and_places_are_completed(bash: Bash) -> None:
    for typed, becomes in (
        ("cpcc grap\t", "graph "),
        ("cpcc cd mol\t", "molecules "),
        ("cpcc -p mol\t", "molecules "),
        ("cpcc ls summ\t", "summation "),
        ("cpcc ls temperatures:jo\t", "temperatures:jobs "),
        ("cpcc set temperatures:in.rep\t", "temperatures:in.repeats "),
        ("cpcc connect summation:o\t", "summation:out."),
        ("cpcc get summation:out.\t", "summation:out.c "),
        ("cpcc instance math::dou\t", "math::double"),
    ):
        bash.type(typed, becomes)
        bash.clear()


def test_it_is_silent_when_there_is_no_server(bash: Bash, system: System) -> None:
    system.stop()
    assert "ERROR" not in bash.type("cpcc ls summ\tnothing\x15echo st''ill\n", "still")
