"""Any network that people can make is written, and read again as the same network."""

from __future__ import annotations

import random
import re
from typing import Any

from hypothesis import event, given, settings, strategies as st
from tests.unit.drawn_values import texts, values_of
from tests.unit.workflow_rig import ADDMUL_XML, ADDMUL_YAML, ANY, WorkflowRig, network_of

from copernicus.dataflow import tree
from copernicus.dataflow.paths import parse_path
from copernicus.errors import CopernicusError
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, InnerConnection, InnerInstance
from copernicus.model.types import fits
from copernicus.model.values import to_json

NAMES = ("a", "b", "on", "null", "y", "n_1", "in2")
PARTS = ("", "[0]", "[2]", ".x", ".n", ".n[1]", "[1].x")
POOLS = st.fixed_dictionaries(
    {field.name: st.lists(values_of(field.kind.required).map(to_json), min_size=3, max_size=3) for field in ANY}
)


class Maker:
    """Makes a network by chance: edits that mostly can be done, with values from pools that hypothesis has drawn."""

    def __init__(self, seed: int, pools: dict[str, list[Any]], words: list[str]) -> None:
        self.rig, self.chance, self.pools, self.words = WorkflowRig(), random.Random(seed), pools, words
        self.done: dict[str, int] = {}

    def make(self, steps: int) -> None:
        kinds = [self.function, self.instance, self.value, self.connection, self.connection, self.removal]
        for make in [self.instance, self.instance, self.function, *self.chance.choices(kinds, k=steps)]:
            edit = make()
            try:
                self.rig.edit(edit)
            except CopernicusError:
                continue
            self.done[type(edit).__name__] = self.done.get(type(edit).__name__, 0) + 1

    def known(self) -> list[FunctionSchema]:
        own = [one for name, one in self.rig.network.functions.items() if name.startswith("project::")]
        return [*self.rig.catalog.functions.values(), *own, *own]

    def instance(self) -> e.Edit:
        return e.MakeInstance(self.chance.choice(self.known()).name, self.chance.choice(NAMES))

    def value(self) -> e.Edit:
        field = self.chance.choice(ANY)
        name = self.chance.choice([*self.rig.network.instances[0].children] or NAMES)
        prefix = self.chance.choice(("", "p_"))
        return e.SetValue(f"{name}:in.{prefix}{field.name}", self.chance.choice(self.pools[field.name]))

    def connection(self) -> e.Edit:
        tops = list(self.rig.network.children(self.rig.network.instances[0]))
        sources = {f"{one.name}:{side}": self.sides(one.function)[side] for one in tops for side in ("in", "out")}
        destinations = {f"{one.name}:in": self.sides(one.function)["in"] for one in tops}
        found = self.pair(sources, destinations)
        return e.Connect(*found) if found else e.ImportModule("t")

    def removal(self) -> e.Edit:
        links = [
            f"{one.name}:in.{path[0]}"
            for one in self.rig.network.children(self.rig.network.instances[0])
            for path in one.links["in"]
        ]
        name = self.chance.choice(NAMES)
        if links and self.chance.random() < 0.5:
            return e.Disconnect(self.chance.choice(links))
        return self.chance.choice(
            [e.RemoveInstance(name), e.Unset(f"{name}:in.fs[1]"), e.Unset(f"{name}:in.i"), e.ImportModule("t")]
        )

    def function(self) -> e.Edit:
        border = FunctionSchema("", "network", self.fields("p_"), self.fields("q_"))
        inside = {name: self.chance.choice(self.known()) for name in self.chance.sample(NAMES, self.chance.randrange(4))}
        sources = {f"{name}:out": one.outputs for name, one in inside.items()} | {"self:in": border.inputs}
        destinations = {f"{name}:in": one.inputs for name, one in inside.items()} | {"self:out": border.outputs}
        pairs = [self.pair(sources, destinations) for _ in range(self.chance.randrange(4))]
        links = {pair[1]: pair[0] for pair in pairs if pair}
        instances = []
        for name, one in inside.items():
            fields = [field for field in ANY if one.name == "t::keep" and f"{name}:in.{field.name}" not in " ".join(links)]
            values = {field.name: self.chance.choice(self.pools[field.name]) for field in fields if self.chance.random() < 0.3}
            instances.append(InnerInstance(name, one.name, values))
        connections = tuple(InnerConnection(source, destination) for destination, source in links.items())
        name, words = self.chance.choice(["f0", "yes", "n", "f1"]), self.chance.choice(self.words)
        schema = FunctionSchema(
            f"project::{name}",
            "network",
            border.inputs,
            border.outputs,
            words,
            instances=tuple(instances),
            connections=connections,
        )
        return e.DeclareFunction(schema)

    def fields(self, prefix: str) -> tuple[Field, ...]:
        chosen = self.chance.sample(ANY, self.chance.randrange(5))
        defaults = {one.name: self.chance.choice([None, self.chance.choice(self.pools[one.name])]) for one in chosen}
        return tuple(Field(prefix + one.name, one.type, self.chance.choice(self.words), defaults[one.name]) for one in chosen)

    def sides(self, function: FunctionSchema) -> dict[str, tuple[Field, ...]]:
        return {"in": function.inputs, "out": function.outputs}

    def pair(self, sources: dict[str, tuple[Field, ...]], destinations: dict[str, tuple[Field, ...]]) -> tuple[str, str] | None:
        """A source and a destination that fit, or None."""
        left, right = self.places(sources), self.places(destinations)
        fitting = [(source, place) for source, offered in left for place, wanted in right if not fits(offered, wanted)]
        return self.chance.choice(fitting) if fitting else None

    def places(self, sides: dict[str, tuple[Field, ...]]) -> list[tuple[str, Any]]:
        found = []
        for where, fields in self.chance.sample(sorted(sides.items()), min(3, len(sides))):
            for field in fields:
                for part in PARTS:
                    text = f"{where}.{field.name}{part}"
                    try:
                        kind = tree.type_at({field.name: field.kind}, parse_path(text).members, where)
                    except CopernicusError:
                        continue
                    found.append((text, kind))
        return found


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), POOLS, st.lists(texts, min_size=2, max_size=2))
def test_a_network_comes_back_as_it_went(seed: int, pools: dict[str, list[Any]], words: list[str]) -> None:
    maker = Maker(seed, pools, words)
    maker.make(30)
    rig = maker.rig
    text, left_out = rig.export()
    assert left_out == []
    again = WorkflowRig()
    again.upload(text, "net.yaml")
    assert network_of(again.network) == network_of(rig.network)
    assert again.export().text == text
    for kind, count in maker.done.items():
        event(kind, payload=count)


WORDS = {text: re.split(r"([\w.:+-]+)", text) for text in (ADDMUL_XML, ADDMUL_YAML)}
SNIPPETS = (
    "", "<", "&", '"', ":", "-", "[", "}", "#", "*", "!", "|", "\n", "\0", "\ud7ff", "self", "self:in.a", "in.", "x[+]", "a[1]",
    "null", "1e999", "٣", "<controller/>", " ", "add:in.a", "mul:out.c", "addmul:out.q", "string", "float?[]", "controller",
    "t::keep", "function",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([ADDMUL_XML, ADDMUL_YAML]),
    st.lists(st.tuples(st.integers(0, 400), st.one_of(st.integers(0, 400), st.sampled_from(SNIPPETS))), min_size=1, max_size=3),
)
def test_a_damaged_file_is_read_or_refused_whole(text: str, damages: list[tuple[int, int | str]]) -> None:
    """Words of a file replaced by others of it, or by what has a meaning of its own."""
    words = list(WORDS[text])
    count = len(words) // 2
    for place, other in damages:
        words[place % count * 2 + 1] = words[other % count * 2 + 1] if isinstance(other, int) else other
    rig = WorkflowRig()
    refusal = rig.refusal("".join(words), "net")
    event(f"{text[:5]}: {type(refusal).__name__}")
    if refusal is not None:
        assert str(refusal).startswith("net")
        assert network_of(rig.network) == network_of(WorkflowRig().network)
    else:
        again = WorkflowRig()
        again.upload(rig.export().text, "again")
        assert network_of(again.network) == network_of(rig.network)


def test_what_a_controller_made_is_left_out_and_said() -> None:
    rig = WorkflowRig()
    rig.edit(e.MakeInstance("t::steer", "s"), e.MakeInstance("t::works", "w"), e.MakeInstance("t::two", "t"))
    rig.edit(e.SetText("s:in.n", "1"), e.SetText("s:in.x", "1"), e.SetText("w:in.x", "[1, 2]"), e.Activate())
    rig.perform()
    for number, source in enumerate(("s:job_0:out.z", "w:work_1:out.z", "t:one:out.z")):
        name = f"k{number}"
        rig.edit(e.MakeInstance("t::keep", name), e.Connect(source, f"{name}:in.i"))
    text, left_out = rig.export()
    assert left_out == ["k0:in.i: s:job_0:out.z"]
    again = WorkflowRig()
    again.upload(text, "net.yaml")
    links = {name: again.network.instances[id].links["in"] for name, id in again.network.instances[0].children.items()}
    assert links["k0"] == {}
    assert len(links["k1"]) == len(links["k2"]) == 1
    assert parse_path("w:out.z[1]").members in [source.path for source in links["k1"].values()], (
        "the same place by its other name"
    )
