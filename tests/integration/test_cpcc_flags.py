"""Each command of `cpcc`, by each of its names, refuses a flag that it does not have, in one line, and asks no server."""

from __future__ import annotations

import pytest
from tests.integration.answering import AnsweringServer, Cpcc

from copernicus.client.cli.names import ALIASES, GROUPS

NAMES = [*(row.name for rows in GROUPS.values() for row in rows), *ALIASES]


@pytest.mark.parametrize("name", NAMES)
def test_a_flag_that_is_not_there_is_refused(cpcc: Cpcc, answering: AnsweringServer, name: str) -> None:
    said = cpcc(name, "--no-such-flag")
    assert said.status == 2
    assert said.out == ""
    assert said.err.startswith("ERROR: No such option '--no-such-flag'")
    assert said.err.count("\n") == 1
    assert answering.requests == []


@pytest.mark.parametrize("name", NAMES)
def test_help_is_at_hand(cpcc: Cpcc, name: str) -> None:
    said = cpcc(name, "-h")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"Usage: cpcc {name}")
