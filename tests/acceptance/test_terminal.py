"""What people see in a terminal of 80 columns: lines that fit, and control characters that are shown, not obeyed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator

import pytest

from copernicus.testing.system import System

COLUMNS = 80
COLOUR = re.compile(r"\x1b\[\d*m")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A project with long names and an instance in each state; nothing runs its jobs."""
    with System(tmp_path_factory.mktemp("busy")) as system:
        system.setup()
        system.start()
        with system.client() as client, client.start_project("folding").transaction() as change:
            change.instance("gromacs::grompp_mdruns", "villin_headpiece_in_water")
            change.instance("benchmark::sleeps", "waits_for_a_while")
            change.instance("math::sqrt", "root_of_a_negative_number")
            change.instance("math::add", "sum_of_what_fails")
            change.instance("math::double_value", "held_by_me")
            change.set("waits_for_a_while:in.sleep_time", [60.0, 60.0])
            change.set("root_of_a_negative_number:in.a", -1.0)
            change.set("sum_of_what_fails:in.a", 1.0)
            change.connect("root_of_a_negative_number:out.c", "sum_of_what_fails:in.b")
            change.instance("gromacs::grompp", "prepare")
            change.set("prepare:in.cmdline_options", ["-v", "\x1b]0;gotcha\x07", "after"])
            change.activate()
            change.deactivate("held_by_me")
        system.cpcc("cd", "folding")
        system.until(lambda: system.ask("status")["errors"] and system.ask("queue"), what="states are as they shall be")
        yield system


def on_a_terminal(system: System, *words: str) -> tuple[str, int]:
    """What `cpcc` prints on a terminal of 80 columns, and its exit status."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = {**system.environment, "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    with subprocess.Popen(
        ["cpcc", *words], cwd=system.folder, env=environment, stdin=its, stdout=its, stderr=its
    ) as process:  # fmt: skip
        os.close(its)
        said = b""
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # what the system answers when the last writer has gone
                break
    os.close(ours)
    return said.decode().replace("\r\n", "\n"), process.returncode


@pytest.mark.parametrize(
    "words",
    [
        ["ls"], ["ls", "villin_headpiece_in_water"], ["ls", "waits_for_a_while"], ["status"], ["queue"], ["projects"],
        ["info", "gromacs::mdrun"], ["list-modules"], ["why", "sum_of_what_fails"], ["log", "waits_for_a_while"],
        ["list-server"], ["-h"], ["get", "nonsense_that_is_not_there:in.some_field_or_other"], ["queue", "-p", "x" * 60],
    ],
    ids=" ".join,
)  # fmt: skip
def test_lines_fit_and_break_between_words(busy: System, words: list[str]) -> None:
    said, status = on_a_terminal(busy, *words)
    assert status == (1 if said.lstrip("\x1b[31m").startswith("ERROR") else 0), said
    lines = COLOUR.sub("", said).splitlines()
    assert lines
    longest = max(len(word) for line in lines for word in line.split())
    assert all(len(line) <= max(COLUMNS, longest + len("ERROR: ")) for line in lines), said
    assert "\x1b" not in COLOUR.sub("", said)


def test_of_an_input_that_is_not_set_the_default_is_shown(busy: System) -> None:
    rows = {row["path"]: row for row in busy.ask("ls", "prepare")["places"]}
    assert (rows["prepare:in.settings"]["text"], rows["prepare:in.settings"]["is_set"]) == ("[] (default)", False)
    assert rows["prepare:in.conf"]["text"] == ""
    assert "[] (default)" in busy.cpcc("ls", "prepare").stdout
    assert busy.ask("get", "prepare:in.settings") is None


def test_control_characters_are_shown_on_terminals_and_exact_in_pipes(busy: System) -> None:
    path = "prepare:in.cmdline_options[1]"
    said, _ = on_a_terminal(busy, "get", path)
    assert said == f"{path}: \\x1b]0;gotcha\\x07\n"
    assert busy.cpcc("get", path).stdout == f"{path}: \x1b]0;gotcha\x07\n"
