"""The page "change a running project", block by block as it stands, against the real programs."""

from __future__ import annotations

from tests.acceptance.test_p08_own_module import BLOCK, TUTORIAL, run

from copernicus.testing.system import System

PAGE = TUTORIAL.parents[1] / "how-to" / "change-a-running-project.md"


def test_the_page(system: System) -> None:
    system.setup()
    system.start()
    system.worker("-n", "2")
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert [language for _, language, _ in blocks].count("text") == 5
    shown = last = ""
    for _, language, text in blocks:
        if language == "sh":
            shown, last = run(system, text), text.splitlines()[-1]
        elif language == "text" and not shown.endswith(text):
            system.until(lambda last=last, text=text: run(system, last) == text, what=f"{last} answers {text}")
    assert system.ask("status")["jobs"] == {"done": 5}
