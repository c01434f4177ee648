"""The README's first workflow, line by line, against the real programs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from copernicus.testing.system import System

README = Path(__file__).parents[2] / "README.md"
WORKFLOW = re.compile(r"## A first workflow\n\n```sh\n(.*?)```.*?```sh\n(.*?)```", re.DOTALL)


def lines() -> list[list[tuple[str, str]]]:
    """The commands of the first workflow, and of what is changed in it, with what is said about each."""
    (blocks,) = WORKFLOW.findall(README.read_text(encoding="utf-8"))
    return [_lines(block) for block in blocks]


def _lines(block: str) -> list[tuple[str, str]]:
    return [(command.strip(), words.strip()) for command, _, words in (line.partition(" # ") for line in block.splitlines())]


def test_the_first_workflow(system: System) -> None:
    ((setup, _), (start, _), *others), edits = lines()
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

    preview, change, _ = (run(command) for command, _ in edits)
    assert "db:double_0" in preview
    assert "nothing was changed" in preview
    assert "Set db:in.integer_inputs[0] to 5." in change
    system.until(lambda: run(last).strip() == shown, what="after the undo, the result from before")
    assert system.ask("status")["jobs"].get("queued", 0) == 0
    assert sum(system.ask("status")["jobs"].values()) == 2, "the result from before stands again, without a job"
