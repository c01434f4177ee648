"""A real program fails: one page says what it was, where it ran, what it printed last, and what to do next."""

from __future__ import annotations

import os

from tests.acceptance.test_terminal import COLOUR, COLUMNS, on_a_terminal

from copernicus.testing.system import System

PROGRAM = """#!/bin/sh
for number in $(seq 70); do echo "step $number, energy -$number.5 kJ/mol"; done
echo "Fatal error: 1 particles communicated to PME rank 0 are more than 2/3 times the cut-off out of the domain" >&2
exit 3
"""


def test_a_failure_fits_on_a_page(system: System) -> None:
    programs = system.folder / "programs"
    programs.mkdir()
    (programs / "simulate").write_text(PROGRAM)
    (programs / "simulate").chmod(0o755)
    system.setup()
    system.start()
    system.cpcc("start", "first")
    path = f"{programs}{os.pathsep}{system.environment['PATH']}"
    system.worker("-n", "1", "--allow", "simulate", environment={"PATH": path, "CPC_NODE": "node7", "CPC_SITE": "lab"})
    system.cpcc("run", "--wait", "--name", "sim", "--", "simulate", "--temperature", "300 K", is_checked=False)
    for words in (["why", "1"], ["why", "sim"], ["log", "1"], ["log", "sim"]):
        said, status = on_a_terminal(system, *words)
        lines = COLOUR.sub("", said).splitlines()
        assert status == 0
        assert max(len(line) for line in lines if str(programs) not in line) == COLUMNS, "but a path is never broken"
        for part in (
            "simulate --temperature '300 K'", f"{programs}/simulate", "node7", "failed, exit status 3", "program",
            "│ Fatal error: 1 particles", "cpcc rerun 1", "cpcc fetch 1 DIR",
        ):  # fmt: skip
            assert part in "\n".join(lines), (words, part)
        steps = [line for line in lines if "│ step" in line]
        assert (len(steps), steps[0], steps[-1]) == (50, "  │ step 21, energy -21.5 kJ/mol", "  │ step 70, energy -70.5 kJ/mol")
    assert system.ask("why", "1")[0].startswith("job 1 of sim"), "for programs nothing has changed"
    (site,) = system.ask("usage")["sites"]
    assert (site["site"], site["attempts"]) == ("lab", 1), "a failure costs as well"
    said, _ = on_a_terminal(system, "usage")
    assert "SITE" in said
    assert "lab" in said
