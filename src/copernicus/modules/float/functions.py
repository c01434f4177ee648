"""Arithmetic on floats."""

from __future__ import annotations

from dataclasses import dataclass

from copernicus.plugin.functions import Module

module = Module("float", "Arithmetic on floats")


@dataclass(frozen=True)
class Result:
    """A number.

    Attributes:
        c: the result
    """

    c: float


@module.pure(version=1)
def add(a: float, b: float) -> Result:
    """a + b"""
    return Result(a + b)


@module.pure(version=1)
def sub(a: float, b: float) -> Result:
    """a - b"""
    return Result(a - b)


@module.pure(version=1)
def mul(a: float, b: float) -> Result:
    """a · b"""
    return Result(a * b)


@module.pure(version=1)
def div(a: float, b: float) -> Result:
    """a / b; an error when b is 0."""
    return Result(a / b)
