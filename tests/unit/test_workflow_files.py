"""Workflow files: what the two forms mean, what is refused and where, and networks that come back as they went."""

from __future__ import annotations

import re

import pytest
from tests.unit.workflow_rig import ADDMUL_XML, ADDMUL_YAML, WorkflowRig, network_of

from copernicus.errors import CopernicusError
from copernicus.model import edits as e


def test_the_original_s_network_computes_and_follows() -> None:
    rig = WorkflowRig()
    rig.upload(ADDMUL_XML)
    rig.perform()
    assert rig.get("addmul:out.q") is None, "instances start held"
    rig.edit(e.Activate())
    rig.perform()
    assert (rig.get("addmul:out.q"), rig.get("add_6:out.c")) == (35.0, 41.0)
    rig.set("addmul:in.a", 0)
    rig.perform()
    assert (rig.get("addmul:out.q"), rig.get("add_6:out.c")) == (20.0, 26.0)
    assert rig.network.functions["project::add_mul"].inputs[1].help == "Another summand."
    rig.restart()
    rig.edit(e.MakeInstance("project::add_mul", "another"), e.Connect("addmul:out.q", "another:in.a"))
    assert rig.get("another:in.a") == 20.0


def test_today_s_form_says_all_that_the_other_does_and_more() -> None:
    rig = WorkflowRig()
    assert rig.upload(ADDMUL_YAML, "net.yaml") == ["conf.gro"], "the path of a local file"
    rig.edit(e.Activate())
    rig.perform()
    assert (rig.get("addmul:out.q"), rig.get("more:out.c"), rig.get("double:out.y")) == (35.0, 41.0, 82.0)
    assert rig.get("keep:in.fs") == [1.0, 82.0, "inf"]
    assert rig.get("keep:in.r") == {"s": "null", "n": [1, 2], "x": 82.0}
    assert rig.get("keep:in.s") == "on", "the place is a string, so no word is taken for something else"


def test_types_of_the_original_are_structures() -> None:
    rig = WorkflowRig()
    rig.upload("""<cpc>
      <type id="pair-list" base="array" member-type="pair" complete="true"/>
      <type id="pair" base="record"><field id="x-1" type="float" opt="true"/><field id="n" type="float_list"/></type>
      <type id="float-list" base="array" member-type="any::number"/><type id="number" base="float"/>
      <function id="f" type="network">
        <inputs>
          <field id="p" type="any::pair-list" const="true"/><field id="q" type="float-list" complete="1" opt="yes"/>
        </inputs><outputs><field id="o" type="record{x: int}"/></outputs><network/>
      </function></cpc>""")
    schema = rig.network.functions["project::f"]
    assert [field.type for field in schema.inputs] == ["record{x_1: float?, n: float?[]}[]", "float[]?"]
    assert [field.type for field in schema.outputs] == ["record{x: int}"]


def test_values_inside_of_functions_and_the_end_of_an_array() -> None:
    rig = WorkflowRig()
    rig.upload("""<cpc><function id="f" type="network"><inputs><field id="x" type="float"/></inputs><outputs/><network>
        <instance id="k" function="t::keep"/><assign dest="k:in.fs[+]" value="1"/>
        <connection src="self:in.x" dest="k:in.fs[+]"/>
        <assign dest="k:in.r.n" value="[7]"/><assign dest="k:in.fs[3]" value="nan"/>
      </network></function><network>
        <instance id="a" function="f"/><assign dest="a:in.x" value="0.5"/><instance id="k" function="t::keep"/>
        <assign dest="k:in.fs[+]" value="2"/><assign dest="k:in.fs[+]" value="-0.0"/>
        <connection src="a:in.x" dest="k:in.fs[+]"/>
      </network></cpc>""")
    assert rig.get("a:k:in.fs") == [1.0, None, None, "nan", 0.5], "values come before connections"
    assert rig.get("a:k:in.r") == {"n": [7]}
    assert [str(number) for number in rig.get("k:in.fs")] == ["2.0", "-0.0", "0.5"]


def test_the_same_file_may_add_to_what_is_there() -> None:
    rig = WorkflowRig()
    rig.upload(ADDMUL_XML)
    rig.upload('<cpc><network><instance id="k" function="t::add"/><connection src="addmul:out.q" dest="k:in.a"/>'
               '<assign dest="addmul:in.a" value="7"/><assign dest="k:in.b" value="1"/></network></cpc>')  # fmt: skip
    assert rig.get("addmul:in.a") == 7.0
    rig.upload(re.sub("<network>\n    <instance id=.addmul.*</network>", "", ADDMUL_XML, flags=re.DOTALL))
    assert list(rig.network.functions).count("project::add_mul") == 1, "the same function again is no clash"


INSIDE, TOP = 18, 28
"""The lines of the example at which the networks of its function and of the project end."""


def inside(line: str, number: int) -> str:
    """The original's example with one more line at the end of a network."""
    lines = ADDMUL_XML.splitlines()
    assert "</network>" in lines[number - 1]
    return "\n".join([*lines[: number - 1], line, *lines[number - 1 :]])


@pytest.mark.parametrize(
    ("line", "spot", "why"),
    [
        ('<instance id="addmul" function="t::add"/>', "<instance>", "already an instance"),
        ('<instance id="x" function="nothing"/>', "<instance>", "no function 'nothing' in this file"),
        ('<instance id="x" function="t::nothing"/>', "<instance>", "no function 'nothing'"),
        ('<instance id="x" function="u::f"/>', "<instance>", "no module 'u'"),
        ('<instance id="2x" function="t::add"/>', "<instance>", "cannot be a name"),
        ('<instance id="x"/>', "<instance>", "'function' is missing"),
        ('<instance id="x" function="t::add" active="1"/>', "<instance>", "'active' is unknown"),
        ('<connection src="addmul:out.q" dest="add-6:in.b"/>', "<connection>", "two sources"),
        ('<connection src="addmul:out.r" dest="add-6:in.z"/>', "<connection>", "no field 'z'"),
        ('<connection src="addmul:out.q" dest="add-6:in.b[0]"/>', "<connection>", "two sources"),
        ('<connection src="nobody:out.q" dest="add-6:in.z"/>', "<connection>", "no instance 'nobody'"),
        ('<connection src="addmul:out.q" dest="addmul:out.q"/>', "<connection>", "is an output"),
        ('<connection src="addmul:out.q" value="3" dest="add-6:in.b"/>', "<connection>", "either src or value"),
        ('<assign type="float" value="3." dest="addmul:in.a"/>', "<assign>", "two sources; the other is in line 25"),
        ('<assign type="float" value="three" dest="add-6:in.c"/>', "<assign>", "no field 'c'"),
        ('<assign type="string" value="3." dest="add-6:in.a"/>', "<assign>", "string is not float"),
        ('<assign type="float" value="3." dest="add-6:out.c"/>', "<assign>", "cannot be set"),
        ('<assign type="float" value="3." dest="addmul:add:in.a"/>', "<assign>", "cannot be set"),
        ('<assign type="float-array" value="3." dest="add-6:in.a"/>', "<assign>", "no type 'float-array'"),
        ('<assign dest="addmul:in.a"/>', "<assign>", "'value' is missing"),
        ("<controller/>", "<controller>", "no code is loaded"),
        ('<instance id="x" function="t::add"><controller/></instance>', "<controller>", "no code is loaded"),
        ("<loop/>", "<loop>", "unknown here"),
        ("<desc>&amp</desc>", "", "not well-formed"),
        ("</cpc>", "", "not well-formed"),
    ],
)
def test_what_is_refused_is_named_with_line_and_element(line: str, spot: str, why: str) -> None:
    refused(inside(line, TOP), rf"net.xml, line {TOP}(, {spot})?: .*{re.escape(why)}")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('<connection src="add:out.c" dest="mul:in.b"/>', "two sources; the other is in line 16"),
        ('<connection src="add:out.c" dest="add:in.c"/>', "no field 'c'"),
        ('<connection src="more:out.c" dest="self:ext_out.q"/>', "no such instance inside of add_mul"),
        ('<connection src="self:ext_out.q" dest="add:in.a"/>', "no source here"),
        ('<connection src="self:ext_in.a" dest="self:ext_in.b"/>', "cannot be written here"),
        ('<connection src="mul:in.a" dest="add:in.b"/>', "no source here"),
        ('<assign value="1" dest="self:ext_out.q"/>', "cannot be set"),
        ('<assign value="one" dest="mul:in.b"/>', "'one' is not a number"),
        ('<instance id="again" function="add-mul"/>', "contains itself"),
        ('<instance id="self" function="t::add"/>', "'self' cannot be a name"),
        ('<instance id="add" function="t::add"/>', "already an instance 'add'"),
    ],
)
def test_what_is_refused_inside_of_a_function_is_named_too(line: str, why: str) -> None:
    refused(inside(line, INSIDE), rf"net.xml, line {INSIDE}, <\w+>: .*{re.escape(why)}")


def test_what_does_not_fit_inside_of_a_function_is_refused_used_or_not() -> None:
    text = ADDMUL_XML.replace('id="c" type="float"', 'id="c" type="string"')
    refused(text, r"line 16, <connection>: self:in.c \(string\) does not fit mul:in.b \(float\)")
    circle = ADDMUL_XML.replace('src="self:ext_in.a"', 'src="mul:out.c"')
    refused(circle, r"line 4, <function>: .*would close a circle")


def test_a_name_that_clashes_with_the_project_s_own_is_refused() -> None:
    rig = WorkflowRig()
    rig.upload(ADDMUL_XML)
    other = ADDMUL_XML.replace("t::mul", "t::add").replace('"addmul"', '"other"')
    refused(other, r"line 4, <function>: There is already a function project::add_mul .* another one", rig)
    refused(ADDMUL_XML, r"line 21, <instance>: There is already an instance 'addmul'", rig)
    twice = ADDMUL_XML.replace(
        "<network>\n    <instance id=", '<function id="add_mul" type="network"><network/></function>\n<network><instance id='
    )
    refused(twice, r"already a function 'add_mul' in this file")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<cpc><function id='f' type='python'><network/></function></cpc>", "Only functions of type network"),
        ("<cpc><function id='f' type='network'/></cpc>", "holds one <network>, not 0"),
        ("<cpc><network/><network/></cpc>", "second network"),
        ("<cpc><type id='a' base='b'/><type id='b' base='a'/></cpc>", "contains itself"),
        ("<cpc><type id='a' base='record'><field id='x' type='a'/></type></cpc>", "contains itself"),
        ("<cpc><type id='int' base='float'/></cpc>", "already a type 'int'"),
        ("<cpc version='2'/>", "version '2' is unknown"),
        ("<svg/>", "begins with <cpc>"),
        ("<cpc><import/></cpc>", "line 1, <import>: attribute 'name' is missing"),
        ("<cpc><import name='nothing'/></cpc>", "line 1, <import>: There is no module 'nothing'"),
        ('<!DOCTYPE cpc SYSTEM "http://127.0.0.1/x.dtd"><cpc/>', "external references are refused"),
        ('<!DOCTYPE c [<!ENTITY a "b">]><cpc><import name="&a;"/></cpc>', "entities"),
        ('<!DOCTYPE c [<!ENTITY a SYSTEM "file:///etc/passwd">]><cpc><desc>&a;</desc></cpc>', "entities"),
        ("<cpc><desc>&unknown;</desc></cpc>", "not well-formed"),
        ("<cpc>" + "<network>" * 70, "nest deeper"),
        ('<?xml version="1.0" encoding="klingon"?><cpc/>', "klingon|unknown encoding"),
        (" " * (16 * 1024**2 + 1), "at most"),
        ("", "is empty"),
    ],
)
def test_files_that_are_no_workflow_are_refused(text: str, why: str) -> None:
    refused(text, why)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("instances: {}", "line 1: this is not a workflow file"),
        ("copernicus: 2", "line 1, copernicus: this format is unknown"),
        ("copernicus: 1\nnodes: {}", "line 2, nodes: 'nodes' is unknown here; there are: .*instances"),
        ("copernicus: 1\ninstances:\n  a: &x t::add\n  b: *x", "line 3: the anchor &x is refused"),
        ("copernicus: 1\ninstances:\n  a: *x", "line 3: the alias .x is refused"),
        ("copernicus: 1\nimports: !!python/object/apply:os.system [ls]", "line 2: the tag .* is refused"),
        ("copernicus: 1\ninstances:\n  a: t::add\n  a: t::mul", "line 4: the key 'a' stands there twice"),
        ("copernicus: 1\n? [a]\n: b", "line 2: a key must be a word"),
        ("copernicus: 1\n---\ncopernicus: 1", "a second document begins"),
        ("copernicus: 1\ninstances: " + "[" * 70, "nest deeper"),
        ("copernicus: 1\ninstances:\n  a: t::add\n  b: [", "line 4: this is not YAML|line 5: this is not YAML"),
        ("copernicus: 1\ninstances:\n  a: {in: {a: 1}}", "line 3, instances.a: an instance needs a function"),
        (
            "copernicus: 1\ninstances:\n  a:\n    function: t::add\n    in:\n      a: x",
            "line 6, instances.a.in.a: .*'x' is not a number",
        ),
        (
            "copernicus: 1\ninstances:\n  a:\n    function: t::add\n    in:\n      x: 1",
            "line 6, instances.a.in.x: .*no field 'x'",
        ),
        ("copernicus: 1\ninstances: {k: {function: 't::keep', in: {r: {y: 1}}}}", "no member 'y'"),
        ("copernicus: 1\ninstances: {k: {function: 't::keep', in: {i: 9223372036854775808}}}", "64 bits"),
        ("copernicus: 1\ninstances: {k: {function: 't::keep', in: {fs: {a: 1}}}}", "expected float.* got a mapping"),
        ("copernicus: 1\ninstances: {k: {function: 't::keep', in: {d: {blob: ab}}}}", "a file is a path"),
        ("copernicus: 1\ninstances:\n  a: t::add\nconnections:\n  a:in.a: a:out.c", "line 5, connections.a:in.a: .*circle"),
        ("copernicus: 1\nfunctions:\n  f:\n    inputs:\n      x: floaty", "line 5, functions.f.inputs.x: .*not a type"),
        (
            "copernicus: 1\nfunctions:\n  f: {inputs: {x: {type: int, default: a}}}",
            "functions.f.inputs.x: .*not a whole number",
        ),
        ("just words", "not a workflow file"),
        (b"copernicus: 1\nname: \xff", "this is not YAML"),
    ],
)
def test_yaml_that_is_wrong_or_wily_is_refused_with_its_line(text: str | bytes, why: str) -> None:
    refused(text, why, name="net.yaml")


def refused(text: str | bytes, why: str, rig: WorkflowRig | None = None, name: str = "net.xml") -> None:
    """Check that a file is refused for a reason, and that nothing of it was done."""
    rig = rig or WorkflowRig()
    before = network_of(rig.network)
    with pytest.raises(CopernicusError) as caught:
        rig.upload(text, name)
    assert re.search(why, str(caught.value)), str(caught.value)
    assert network_of(rig.network) == before
