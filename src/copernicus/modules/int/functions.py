"""Arithmetic on integers."""

from __future__ import annotations

from dataclasses import dataclass

from copernicus.plugin.functions import Module

module = Module("int", "Arithmetic on integers")


@dataclass(frozen=True)
class Result:
    """A number.

    Attributes:
        c: the result
    """

    c: int


@module.pure(version=1)
def add(a: int, b: int) -> Result:
    """a + b"""
    return Result(a + b)


@module.pure(version=1)
def sub(a: int, b: int) -> Result:
    """a - b"""
    return Result(a - b)


@module.pure(version=1)
def mul(a: int, b: int) -> Result:
    """a · b"""
    return Result(a * b)


@module.pure(version=1)
def div(a: int, b: int) -> Result:
    """a / b, rounded down; an error when b is 0."""
    return Result(a // b)
