"""What tests with real programs share: a system of their own each, and what it printed when a test fails."""

from __future__ import annotations

import os
import random
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from copernicus.testing.system import System


# One thread for linear algebra, here and in programs that tests start: on a busy machine more of them wait for each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options of the fault harnesses."""
    group = parser.getgroup("proof", "fault harnesses (tests/proof)")
    group.addoption(
        "--long", action="store_true", help="as many faults, and as large files, as the promises name; minutes each"
    )
    group.addoption("--seed", type=int, default=1, help="of the random moments at which something is killed or cut")


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether the harnesses run in their long form."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def long_form(is_long: bool) -> None:
    """Of a test that does what a part of `scripts/proof` does in its short form: that is enough, but for the long form."""
    if not is_long:
        pytest.skip("scripts/proof does the same; scripts/proof --long does it here")


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """The source of random moments, the same for the same --seed."""
    return random.Random(request.config.getoption("--seed"))


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """A system that is neither set up nor started; everything it started is ended after the test."""
    from copernicus.testing.system import System

    with System(tmp_path) as system:
        yield system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what the programs printed beside the failure of a test."""
    report = yield
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    if report.failed and "system" in arguments:
        report.sections.append(("what the programs printed", arguments["system"].evidence()))
    return report
