"""A rig that takes workflow files, and a network as something that `==` can compare."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.unit.rig import MODULE, Rig

from copernicus.dataflow import engine, transaction
from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.views import length_of
from copernicus.errors import CopernicusError
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema
from copernicus.server.projects.workflows.declarations import read_workflow
from copernicus.server.projects.workflows.export import Exported, export
from copernicus.server.projects.workflows.literals import LocalFiles
from copernicus.server.projects.workflows.translation import translate

ANY = (
    Field("i", "int", default=0), Field("f", "float", default=0.5), Field("s", "string?"), Field("d", "file?"),
    Field("fs", "float?[]?"), Field("r", "record{x: float?, s: string?, n: int[]?}?"), Field("rs", "record{x: float?}?[]?"),
)  # fmt: skip
KEEP = FunctionSchema("t::keep", "pure", ANY, ANY)
RIG_MODULE = ModuleSchema("t", functions=(*MODULE.functions, KEEP))

ADDMUL_XML = """<?xml version="1.0"?>
<cpc version="1">
  <import name="t"/>
  <function id="add-mul" type="network">
    <desc>q = (a + b) · c</desc>
    <inputs>
      <field id="a" type="float"/><field id="b" type="float"><desc>Another summand.</desc></field><field id="c" type="float"/>
    </inputs>
    <outputs><field id="q" type="float"/></outputs>
    <network>
      <instance id="add" function="t::add"/>
      <instance id="mul" function="t::mul"/>
      <connection src="self:ext_in.a" dest="add:in.a"/>
      <connection src="self:sub_out.b" dest="add:in.b"/>
      <connection src="add:out.c" dest="mul:in.a"/>
      <connection src="self:in.c" dest="mul:in.b"/>
      <connection src="mul:out.c" dest="self:ext_out.q"/>
    </network>
  </function>
  <network>
    <instance id="addmul" function="add-mul"/>
    <instance id="add-6" function="t::add"/>
    <connection src="addmul:out.q" dest="add-6:in.a"/>
    <connection value="6" type="float" dest="add-6:in.b"/>
    <assign type="float" value="3." dest="addmul:in.a"/>
    <assign type="float" value="4." dest="addmul:in.b"/>
    <assign type="float" value="5." dest="addmul:in.c"/>
  </network>
</cpc>
"""


ADDMUL_YAML = """
copernicus: 1
imports: [t]
functions:
  twice:                       # made of the function that stands below
    inputs: {x: float}
    outputs: {y: float}
    instances:
      sum: {function: addmul, in: {c: 2}}
      zero: {function: "t::add", in: {a: 0, b: 0.0}}
    connections:
      sum:in.a: self:in.x
      sum:in.b: zero:out.c
      self:out.y: sum:out.q
  addmul:
    help: q = (a + b) · c
    inputs:
      a: float
      b: {type: float, help: Another summand.}
      c: float
    outputs:
      q: float
    instances:
      add: t::add
      mul: t::mul
    connections:
      add:in.a: self:in.a
      add:in.b: self:in.b
      mul:in.a: add:out.c
      mul:in.b: self:in.c
      self:out.q: mul:out.c
instances:
  addmul:
    function: addmul
    in: {a: 3, b: 4, c: 5.}
  more: {function: "t::add", in: {b: 6}}
  double: twice
  keep:
    function: t::keep
    in:
      s: on
      d: conf.gro
      fs: [1, null, .inf]
      r: {s: "null", n: [1, 2]}
connections:
  more:in.a: addmul:out.q
  double:in.x: more:out.c
  keep:in.fs[1]: double:out.y
  keep:in.r.x: double:out.y
"""


class WorkflowRig(Rig):
    """A rig with a module that has every type."""

    def __init__(self) -> None:
        super().__init__(RIG_MODULE)

    def perform_one(self, effect: transaction.Effect) -> None:
        if isinstance(effect, transaction.EvaluatePure) and effect.function == KEEP.name:
            self.step(engine.PureEvaluated(effect.key, dict(effect.inputs)))
        else:
            super().perform_one(effect)

    def upload(self, text: str | bytes, name: str = "net.xml") -> list[str]:
        """Apply a workflow file; return the local files that it needs."""
        files = LocalFiles({})
        workflow = read_workflow(name, text.encode() if isinstance(text, str) else text)
        steps = translate(workflow, self.network, self.catalog, files)
        spots = tuple(str(step.spot) for step in steps)
        self.step(engine.EditsRequested([step.edit for step in steps], "ada", False, spots))
        return list(files.needs)

    def refusal(self, text: str, name: str) -> CopernicusError | None:
        """Apply a workflow file; return why it was refused, or None."""
        try:
            self.upload(text, name)
        except CopernicusError as error:
            return error
        return None

    def export(self) -> Exported:
        return export(self.network, "project x")


def _is_left_over(network: Network, index: Instance) -> bool:
    """Whether a scatter has this index only because an array was there once: none of them is now."""
    scatter = network.instances[index.parent] if index.index is not None else None
    return scatter is not None and all(
        length_of(network, Place(scatter.id, "in", (field.name,))) is None
        for field in scatter.function.inputs
        if field.name not in scatter.function.whole
    )


def network_of(network: Network) -> dict[str, Any]:
    """Functions of its own, instances, literal values and connections of a network, to the last bit."""
    return {
        "imported": list(network.imported),
        "functions": {name: one for name, one in network.functions.items() if name.startswith("project::")},
        "instances": [
            (network.path_of(one.id), one.function.name, msgspec.json.encode(one.values["in"], order="sorted"))
            for one in network.subtree(network.instances[ROOT])
            if not any(_is_left_over(network, around) for around in network.ancestors(one))
        ],
        "connections": {
            (network.path_of(one.id), side, path): (network.path_of(source.instance), *source[1:])
            for one in network.instances.values()
            for side, links in one.links.items()
            for path, source in links.items()
        },
    }
