"""Arithmetic on floats, and the tutorial's `double_value`: one job for each element."""

from __future__ import annotations

import math
from dataclasses import dataclass

from copernicus.plugin.functions import Job, Module, json_of

module = Module("math", "Arithmetic, and a first example of jobs")


@dataclass(frozen=True)
class Result:
    """A number.

    Attributes:
        c: the result
    """

    c: float


@dataclass(frozen=True)
class Doubled:
    """What `double` brings.

    Attributes:
        integer_outputs: twice the input
    """

    integer_outputs: int


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


@module.pure(version=1)
def pow(a: float, b: float) -> Result:
    """a to the power of b"""
    return Result(math.pow(a, b))


@module.pure(version=1)
def sqrt(a: float) -> Result:
    """Square root of a"""
    return Result(math.sqrt(a))


@module.pure(version=1)
def exp(a: float) -> Result:
    """e to the power of a"""
    return Result(math.exp(a))


@module.pure(version=1)
def log(a: float) -> Result:
    """Natural logarithm of a"""
    return Result(math.log(a))


@module.command(deterministic=True)
def double(integer_inputs: int) -> Job[Doubled]:
    """Doubles one integer in a job of its own."""
    return Job("math/double", [integer_inputs], Doubled(json_of("stdout", int)))


double_value = module.scatter("double_value", double)
