"""A module changes between two starts of the server: what its instances hold is converted as the module says."""

from __future__ import annotations

from pathlib import Path

import pytest

from copernicus.testing.system import System

FIRST = '''
"""A module, first version."""
from dataclasses import dataclass, field
from copernicus.plugin.functions import Call, Module

module = Module("mine", "For a test")

@dataclass(frozen=True)
class Sum:
    sum: float

@dataclass
class Told:
    last: float | None = None

@dataclass
class Memory:
    seen: int = 0

@module.pure
def add(a: float, b: float) -> Sum:
    """Adds."""
    return Sum(a + b)

@module.controller
def follow(call: Call[Told, Memory], *, value: float) -> None:
    """Follows a value."""
    call.out.last = value
    call.state.seen += 1
'''

SECOND = '''
"""The same module, second version."""
from dataclasses import dataclass, field
from copernicus.plugin.functions import Call, Module

module = Module("mine", "For a test")

@dataclass(frozen=True)
class Total:
    total: float

@dataclass
class Told:
    last: float | None = None

@dataclass
class Memory:
    history: list[str] = field(default_factory=list)

@module.pure
def add(terms: list[float], scale: float = 1.0) -> Total:
    """Adds and scales."""
    return Total(sum(terms) * scale)

module.conversion(add, renamed={"out.sum": "total"}, inputs=lambda earlier: {"terms": [earlier["a"], earlier["b"]]})

@module.controller
def follow(call: Call[Told, Memory], *, value: float) -> None:
    """Follows a value."""
    call.out.last = value
    call.state.history.append(str(value))

module.conversion(follow, state=lambda earlier: Memory([f"{earlier['seen']} before"]))
'''


def install(system: System, text: str) -> None:
    folder = system.home / "modules" / "mine"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "functions.py").write_text(text, encoding="utf-8")


@pytest.mark.timeout(300)
def test_instances_of_an_earlier_version_are_converted(system: System, tmp_path: Path) -> None:
    system.setup()
    install(system, FIRST)
    system.start()
    system.cpcc("start", "p")
    system.cpcc("transact")
    for words in (
        ("import", "mine"), ("instance", "mine::add", "sum"), ("instance", "mine::follow", "eye"),
        ("connect", "sum:out.sum", "eye:in.value"), ("set", "sum:in.a", "1"), ("set", "sum:in.b", "2"), ("activate",),
    ):  # fmt: skip
        system.cpcc(*words)
    system.cpcc("commit")
    system.until(lambda: system.ask("get", "eye:out.last") == 3.0, what="the value has come through")

    system.stop()
    install(system, SECOND)
    system.start()
    why = system.cpcc("why", "sum").stdout
    assert "sum is error" in why
    assert "cpcc upgrade mine" in why
    assert system.ask("get", "eye:out.last") == 3.0
    refused = system.cpcc("instance", "mine::add", "other", is_checked=False)
    assert (refused.returncode != 0, "has changed" in refused.stderr) == (True, True)
    for wrong in ("nosuch", "mine::add", ""):
        bad = system.cpcc("upgrade", wrong, is_checked=False)
        assert (bad.returncode != 0, len(bad.stderr.strip().splitlines())) == (True, 1), bad.stderr

    assert "2 instances upgraded" in system.cpcc("upgrade", "mine").stdout
    assert system.ask("get", "sum:in.terms") == [1.0, 2.0]
    assert system.ask("get", "sum:out.total") == 3.0
    assert system.ask("get", "eye:state.history") == ["1 before"], "it was not called anew"
    system.kill_server()
    system.start()
    assert system.ask("get", "eye:state.history") == ["1 before"]
    system.cpcc("set", "sum:in.scale", "10")
    system.until(lambda: system.ask("get", "eye:out.last") == 30.0, what="it goes on from there")
    assert system.ask("get", "eye:state.history") == ["1 before", "30.0"]
