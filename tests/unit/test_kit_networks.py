"""Networks: what tracing writes down, and what a wire refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from copernicus.errors import ModuleError
from copernicus.plugin.functions import File, Function, Job, Module, file


@dataclass
class Prepared:
    tpr: File


@dataclass
class Simulated:
    conf: File
    xtc: File | None


@dataclass
class Input:
    mdp: File
    top: File
    dt: float | None = None


@dataclass
class Number:
    n: float


kit = Module("kit")


@kit.command
def grompp(conf: File, given: Input, include: Sequence[File] = ()) -> Job[Prepared]:
    return Job("x/grompp", [conf], Prepared(file("topol.tpr")))


@kit.command
def mdrun(tpr: File, priority: int = 0) -> Job[Simulated]:
    return Job("x/mdrun", [tpr], Simulated(file("c"), file("x")))


@kit.pure(version=3)
def half(n: float) -> Number:
    return Number(n / 2)


def connections(function: Function[..., object]) -> list[str]:
    return [f"{one.source} → {one.destination}" for one in function.schema.connections]


def test_a_network_is_traced() -> None:
    module = Module("net")

    def replace_conf(simulated: Simulated, conf: File) -> Simulated:
        return Simulated(conf=conf, xtc=simulated.xtc)

    @module.network
    def both(conf: File, mdp: File, tops: Sequence[File], given: Input, priority: int = 0) -> Simulated:
        first = mdrun.named("first")(grompp(conf, Input(mdp, tops[1], dt=0.002), [given.top, mdp]).tpr, 7)
        return replace_conf(mdrun(tpr=first.conf, priority=priority), first.conf)

    assert [(one.name, one.function, one.values) for one in both.schema.instances] == [
        ("grompp", "kit::grompp", {"given": {"dt": 0.002}}),
        ("first", "kit::mdrun", {"priority": 7}),
        ("mdrun", "kit::mdrun", {}),
    ]
    assert connections(both) == [
        "self:in.conf → grompp:in.conf",
        "self:in.mdp → grompp:in.given.mdp",
        "self:in.tops[1] → grompp:in.given.top",
        "self:in.given.top → grompp:in.include[0]",
        "self:in.mdp → grompp:in.include[1]",
        "grompp:out.tpr → first:in.tpr",
        "first:out.conf → mdrun:in.tpr",
        "self:in.priority → mdrun:in.priority",
        "first:out.conf → self:out.conf",
        "mdrun:out.xtc → self:out.xtc",
    ]


def test_a_network_of_networks_and_scatters_is_traced() -> None:
    module = Module("net")
    mdruns = module.scatter("mdruns", mdrun)

    @dataclass
    class Many:
        xtc: list[File | None]

    @module.network
    def all_of_them(tprs: Sequence[File]) -> Many:
        many: Many = mdruns(tpr=tprs)
        return many

    @module.network
    def outer(tprs: Sequence[File]) -> Many:
        return all_of_them(tprs)

    assert connections(outer) == ["self:in.tprs → all_of_them:in.tprs", "all_of_them:out.xtc → self:out.xtc"]


def test_pure_functions_are_functions() -> None:
    assert half(3.0) == Number(1.5)
    with pytest.raises(ModuleError, match=r"test_kit_networks\.py:\d+: kit::mdrun is a command"):
        mdrun(File("a", 1))


def condition(n: float) -> Number:
    return half(1.0 if n else 2.0)


def arithmetic(n: float) -> Number:
    return half(n + 1)


def comparison(n: float) -> Number:
    return half(half(n).n > 1)


def loop(n: list[float]) -> Number:
    return half(sum(n))


def message(n: float) -> Number:
    print(f"{n}")
    return half(n)


def unknown_output(n: float) -> Number:
    return half(half(n).m)  # type: ignore[attr-defined]


def unknown_member(given: Input) -> Number:
    return half(given.n)  # type: ignore[attr-defined]


def attribute_of_file(n: File) -> Number:
    return half(n.size)


def wrong_type(n: File) -> Number:
    return half(n)  # type: ignore[arg-type]


def wrong_constant(n: float) -> Number:
    return half("one")  # type: ignore[arg-type]


def missing_input(n: float) -> Number:
    return half()  # type: ignore[call-arg]


def unknown_input(n: float) -> Number:
    return half(n, m=1)  # type: ignore[call-arg]


def two_of_one_name(n: float) -> Number:
    return half(half(n).n)


def whole_result(n: float) -> Number:
    return half(half.named("inner")(n))  # type: ignore[arg-type]


def constant_output(n: float) -> Number:
    return Number(3)


def nothing_returned(n: float) -> Number:
    half(n)
    return None  # type: ignore[return-value]


def wrong_result(n: File) -> Number:
    return mdrun(n)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("python", "message"),
    [
        (condition, "self:in.n is a wire"),
        (arithmetic, "self:in.n is a wire"),
        (comparison, "half:out.n is a wire"),
        (loop, "self:in.n is a wire"),
        (message, "self:in.n is a wire"),
        (unknown_output, "half has no output 'm'. Its outputs: n"),
        (unknown_member, "has no 'n'. Its members: mdp, top, dt"),
        (attribute_of_file, "self:in.n is a file, known only later: it has no 'size'"),
        (wrong_type, "self:in.n does not fit half:in.n: file is not float"),
        (wrong_constant, "half:in.n: expected float, got 'one'"),
        (missing_input, "kit::half lacks the input n"),
        (unknown_input, "kit::half has no input 'm'"),
        (two_of_one_name, "two instances called half"),
        (whole_result, "gets all of <outputs of inner>"),
        (constant_output, "is a constant"),
        (nothing_returned, "returned None"),
        (wrong_result, "lack n"),
    ],
)
def test_a_wire_refuses_what_it_cannot_know(python: Callable[..., Number], message: str) -> None:
    with pytest.raises(ModuleError) as refusal:
        Module("net").network(python)
    assert message in str(refusal.value)
    first = python.__code__.co_firstlineno
    assert any(f"test_kit_networks.py:{first + offset}: " in str(refusal.value) for offset in range(3)), refusal.value


def test_a_refused_network_leaves_no_trace() -> None:
    with pytest.raises(ModuleError):
        Module("net").network(condition)
    assert half(1.0) == Number(0.5)
    assert replace(half, instance="") == half
