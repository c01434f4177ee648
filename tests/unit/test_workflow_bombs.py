"""Small workflow files that stand for huge networks, types or arrays: refused before any of it is made."""

from __future__ import annotations

import pytest
from tests.unit.rig import Rig
from tests.unit.workflow_rig import WorkflowRig, network_of

from copernicus.errors import TooLarge
from copernicus.model import edits as e
from copernicus.model.functions import FunctionSchema, InnerInstance

HEAD = "copernicus: 1\nfunctions:\n"


def tower(levels: int, width: int, values: str = "") -> str:
    """Functions made of functions, the highest first; the lowest holds one instance."""
    rows = []
    for level in range(levels, 0, -1):
        inside = ", ".join(f"i{number}: f{level - 1}" for number in range(width))
        rows.append(f"  f{level}: {{instances: {{{inside}}}}}\n")
    return f"{HEAD}{''.join(rows)}  f0: {{instances: {{k: {{function: 't::keep'{values}}}}}}}\n"


def types(count: int, element: str, *, is_reversed: bool = False) -> str:
    """XML types made of types; `element` has `{n}` for a type's number and `{before}` for that of the one it is made of."""
    rows = [element.format(n=number, before=number - 1) for number in range(1, count)]
    return f"<cpc>{''.join(rows[::-1] if is_reversed else rows)}<type id='t0' base='int'/></cpc>"


def typed(kind: str) -> str:
    return f"{HEAD}  f: {{inputs: {{x: '{kind}'}}}}"


def inside(elements: str) -> str:
    """An XML file with these elements in the network of a function."""
    border = '<function id="f" type="network"><inputs><field id="x" type="float"/></inputs><network>'
    return f'<cpc>{border}<instance id="k" function="t::keep"/>{elements}</network></function></cpc>'


BOMBS = {
    "functions doubled": tower(9, 10),
    "a tower from its top": tower(5000, 1),
    "a tower from its foot": HEAD + "  f0: {}\n" + "".join(f"  f{n}: {{instances: {{i: f{n - 1}}}}}\n" for n in range(1, 60)),
    "many instances": tower(4, 9) + "instances: {" + ", ".join(f"a{number}: f4" for number in range(300)) + "}",
    "constants multiplied": tower(2, 9, ", in: {fs: [" + "1," * 5000 + "]}"),
    "records doubled": types(
        60, "<type id='t{n}' base='record'><field id='a' type='t{before}'/><field id='b' type='t{before}'/></type>"
    ),
    "a tower of types": types(2000, "<type id='t{n}' base='t{before}'/>", is_reversed=True),
    "arrays of arrays": types(9, "<type id='t{n}' base='array' member-type='t{before}'/>"),
    "records in records": typed("record{a: " * 400 + "int" + "}" * 400),
    "brackets": typed("int" + "[]" * 2000),
    "an index": "copernicus: 1\ninstances: {k: {function: 't::keep', in: {'fs[999999999]': 1}}}",
    "an index inside": inside('<assign value="1" dest="k:in.fs[9999999]"/>'),
    "a connection to an index inside": inside('<connection src="self:in.x" dest="k:in.fs[999999]"/>'),
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_small_file_that_stands_for_a_huge_network_is_refused(text: str) -> None:
    rig = WorkflowRig()
    refusal = rig.refusal(text, "bomb")
    assert isinstance(refusal, TooLarge), refusal
    assert network_of(rig.network) == network_of(WorkflowRig().network)


def test_functions_that_come_as_edits_are_bounded_as_well() -> None:
    rig = Rig()
    edits = []
    for level, below in enumerate(["t::add", *(f"project::f{level}" for level in range(9))]):
        inside = tuple(InnerInstance(f"i{number}", below) for number in range(10))
        edits.append(e.DeclareFunction(FunctionSchema(f"project::f{level}", "network", instances=inside)))
    with pytest.raises(TooLarge, match="Edit 5 of 10"):
        rig.edit(*edits)
    assert rig.network.functions == {}
