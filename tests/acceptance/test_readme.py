"""The README's first workflow, line by line, against the real programs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from copernicus.testing.system import System

README = Path(__file__).parents[2] / "README.md"
WORKFLOW = re.compile(r"## A first workflow\n\n```sh\n(.*?)```", re.DOTALL)


def lines() -> list[tuple[str, str]]:
    """The commands, and what is said about each."""
    (block,) = WORKFLOW.findall(README.read_text(encoding="utf-8"))
    return [(command.strip(), words.strip()) for command, _, words in (line.partition(" # ") for line in block.splitlines())]


def test_the_first_workflow(system: System) -> None:
    (setup, _), (start, _), *others = lines()
    assert setup.split()[:2] == ["cpc-server", "setup"], "it asks for a password, which is given here"
    system.setup()
    assert start == "cpc-server start"
    system.start()

    def run(command: str) -> str:
        # A file and no pipe: what is left in the background would keep a pipe open.
        with (system.folder / "said").open("w+") as said:
            subprocess.run(
                ["bash", "-c", command], cwd=system.folder, env=system.environment, stdout=said, stderr=said,
                stdin=subprocess.DEVNULL, timeout=120, check=True,
            )  # fmt: skip
            said.seek(0)
            return said.read()

    answers = {command: run(command) for command, _ in others}
    assert "No worker is connected." in answers["cpcc why db"]
    assert "db:in.integer_inputs" in answers["cpcc ls db"]
    last, words = others[-1]
    shown = words.partition(", in a few seconds")[0]
    assert shown == "db:out.integer_outputs: [42]"
    system.until(lambda: run(last).strip() == shown, what=shown)
