"""Files: small, named after nouns, free of what belongs to one machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.house.source import PACKAGE, ROOT, files, name, tracked

MAX_LINES = 400
NO_NOUNS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "managers", "stuff", "lib"}
KINDS = {"unit", "contract", "integration", "acceptance", "house", "proof"}
# Places of one machine, and servers that packages come from: neither is the same at the next user's.
PRIVATE = re.compile(
    r"(?<![\w.$}~])/(?:root|work|Users|home/[a-z]\w*)/|pypi\.(?:org|python)|python[h]osted|index[-_]url|find[-_]links",
    re.IGNORECASE,
)


def forbidden_parts(path: Path) -> set[str]:
    """Return the parts of a path that say nothing about what is inside."""
    return {part.partition(".")[0].strip("_") for part in path.parts} & NO_NOUNS


def private_places(text: str) -> list[str]:
    """Return what in `text` holds on one machine or in one network only."""
    return [match.group() for match in PRIVATE.finditer(text)]


def test_no_python_file_is_longer_than_a_reader_s_patience() -> None:
    long = {name(path): count for path in files("src", "tests", "benchmarks", pattern="*.py")
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES}  # fmt: skip
    assert not long, f"longer than {MAX_LINES} lines (two nouns in one file?): {long}"


def test_every_file_is_a_noun() -> None:
    nameless = [name(path) for path in tracked() if forbidden_parts(path.relative_to(ROOT))]
    assert not nameless, f"named after nothing: {nameless}"


def test_the_authors_door_loads_nothing() -> None:
    assert (PACKAGE / "plugin" / "__init__.py").read_bytes() == b"", "a worker that imports executables would load the engine"


def test_no_file_knows_a_machine() -> None:
    found = {name(path): places for path in tracked()
             if (places := private_places(path.read_text(encoding="utf-8", errors="replace")))}  # fmt: skip
    assert not found, f"places of one machine or package servers: {found}"


def test_tests_lie_where_their_needs_say() -> None:
    stray = [
        name(path) for path in files("tests", pattern="test_*.py") if path.relative_to(ROOT / "tests").parts[0] not in KINDS
    ]
    assert not stray, f"tests outside of {sorted(KINDS)}: {stray}"


@pytest.mark.parametrize("path", ["src/copernicus/net/utils.py", "src/copernicus/base/key.py", "tests/unit/helpers.py"])
def test_a_file_named_after_nothing_is_noticed(path: str) -> None:
    assert forbidden_parts(Path(path))


def test_a_place_of_one_machine_is_noticed() -> None:
    home = "/".join(["", "home", "ada", "runs"])
    assert private_places(f"cd {home}") == ["/".join(["", "home", "ada", ""])]
    assert private_places("pip --" + "-".join(["index", "url"]) + " x")
    assert private_places("~/.copernicus, $HOME/work/x, docs/how-to/work/, http://localhost/work/x") == []
