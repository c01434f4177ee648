"""The page "tell workers about your programs", block by block as it stands, against the real programs."""

from __future__ import annotations

import os
from pathlib import Path

from tests.acceptance.test_p08_own_module import BLOCK, TUTORIAL, run

from copernicus.testing.system import System

PAGE = TUTORIAL.parents[1] / "how-to" / "tell-workers-about-your-programs.md"


def test_the_page(system: System) -> None:
    system.home = system.folder / ".copernicus"
    system.environment |= {"CPC_CONF_HOME": str(system.home), "HOME": str(system.folder), "PATH": without_containers(system)}
    system.setup()
    system.start()
    shown = last = ""
    for file, language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if file:
            path = system.folder / file.removeprefix("~/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif language == "sh":
            shown, last = run(system, text), text.splitlines()[-1]
        else:
            assert shown == text, f"{last} answers {shown}"
    assert system.ask("status")["jobs"] == {"done": 3}


def without_containers(system: System) -> str:
    """A PATH that is like the present one, without Apptainer and Docker."""
    shadows = system.folder / "shadows"
    kept = []
    for number, folder in enumerate(system.environment["PATH"].split(os.pathsep)):
        if any((Path(folder) / name).exists() for name in ("apptainer", "docker")):
            shadow = shadows / str(number)
            shadow.mkdir(parents=True)
            for program in Path(folder).iterdir():
                if program.name not in ("apptainer", "docker"):
                    (shadow / program.name).symlink_to(program)
            folder = str(shadow)
        kept.append(folder)
    return os.pathsep.join(kept)
