"""Controllers that warn, fail and recover as they are told to: one in Python, one that is a program of its own."""

from __future__ import annotations

from dataclasses import dataclass

from copernicus.plugin.functions import Call, Module

module = Module("_test", "Controllers that warn, fail and recover, for tests of everything around them")


@dataclass
class Sum:
    """A sum.

    Attributes:
        a: a + b
    """

    a: float | None = None


@module.controller
def extended_err(call: Call[Sum, None], *, a: float, b: float) -> None:
    """a + b; a warning when b is negative, an error when a is."""
    if a < 0:
        call.fail(f"a is negative: {a:g}")
    call.warn(f"b is negative: {b:g}" if b < 0 else "")
    call.out.a = a + b


@module.external(["{python}", "-P", "{folder}/external_err.py"])
def external_err(call: Call[Sum, None], *, a: float, b: float) -> None:
    """a + b; a warning when b is negative, an error when a is. The same, by a program that speaks lines of JSON."""
