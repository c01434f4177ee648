"""Workflow files through the real programs: the original's XML computes and follows, networks and values come back."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from copernicus.client import Project
from copernicus.testing.system import System

ADDMUL = """<?xml version="1.0" encoding="UTF-8"?>
<cpc>
  <import name="float"/>
  <function id="addmul" type="network">
    <desc>q = (a + b) · c</desc>
    <inputs><field id="a" type="float"/><field id="b" type="float"/><field id="c" type="float"/></inputs>
    <outputs><field id="q" type="float"/></outputs>
    <network>
      <instance id="add" function="float::add"/>
      <instance id="mul" function="float::mul"/>
      <connection src="self:ext_in.a" dest="add:in.a"/>
      <connection src="self:ext_in.b" dest="add:in.b"/>
      <connection src="add:out.c" dest="mul:in.a"/>
      <connection src="self:ext_in.c" dest="mul:in.b"/>
      <connection src="mul:out.c" dest="self:ext_out.q"/>
    </network>
  </function>
  <network>
    <instance id="addmul" function="addmul"/>
    <instance id="add-6" function="float::add"/>
    <connection src="addmul:out.q" dest="add-6:in.a"/>
    <connection value="6" type="float" dest="add-6:in.b"/>
    <assign type="float" value="3." dest="addmul:in.a"/>
    <assign type="float" value="4." dest="addmul:in.b"/>
    <assign type="float" value="5." dest="addmul:in.c"/>
  </network>
</cpc>
"""
KEEP = """# everything that goes in comes out
copernicus: 1
functions:
  keep:
    inputs: {f: float, i: int, s: string, d: "file?"}
    outputs: {f: float, i: int, s: string, d: "file?"}
    connections:
      self:out.f: self:in.f
      self:out.i: self:in.i
      self:out.s: self:in.s
      self:out.d: self:in.d
instances:
  keep:
    function: keep
    in: {d: data/conf.gro}
"""
FLOATS = (-0.0, 5e-324, -2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1e22, math.nan, math.inf, -math.inf)
INTS = (2**63 - 1, -(2**63), 2**53 + 1)
TEXTS = ("", " yes ", "null", '"quoted" \\n', "ß 雪😀\U0010ffff e\u0301", "a\tb\n\x1b[31m\x85\u2028", "-h", "<&amp;>'")


@pytest.fixture
def running(system: System) -> System:
    """A server with a current project."""
    system.setup()
    system.start()
    system.cpcc("start", "first")
    return system


def test_the_original_s_network_gives_35_and_41_and_follows(running: System) -> None:
    (running.folder / "network.xml").write_text(ADDMUL, encoding="utf-8")
    assert "1 function, 2 instances, 4 values, 1 connection" in running.cpcc("upload", "network.xml").stdout
    running.cpcc("activate")
    both = ["addmul:out.q", "add_6:out.c"]
    running.until(lambda: [running.ask("get", path) for path in both] == [35.0, 41.0], what="35 and 41")
    running.cpcc("set", "addmul:in.a", "0.5")
    running.until(lambda: [running.ask("get", path) for path in both] == [22.5, 28.5], what="both follow")
    assert running.cpcc("get", "add-6:out.c").stdout == "add_6:out.c: 28.5\n"


def test_the_example_of_the_reference_is_true(running: System) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "workflow-files.md").read_text(encoding="utf-8")
    (running.folder / "net.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    running.cpcc("upload", "net.yaml")
    running.cpcc("activate")
    running.until(lambda: running.ask("get", "last:out.c") == 41.0, what="41")
    assert "addmul" in running.cpcc("info", "project").stdout
    assert "The factor." in running.cpcc("info", "project::addmul").stdout
    assert "no function 'mean'" in running.cpcc("info", "project::mean", is_checked=False).stderr
    running.cpcc("instance", "project::addmul", "another")
    assert running.ask("ls", "another")["instances"][0]["function"] == "project::addmul"


def test_nothing_of_a_file_is_uploaded_when_anything_is_refused(running: System) -> None:
    wrong = ADDMUL.replace("float::mul", "float::mull")
    (running.folder / "network.xml").write_text(wrong, encoding="utf-8")
    said = running.cpcc("upload", "network.xml", is_checked=False)
    assert said.returncode == 1
    assert "network.xml, line 10, <instance>:" in said.stderr
    assert "mull" in said.stderr
    assert "Nothing was uploaded." in said.stderr
    assert running.ask("ls")["instances"] == []
    (running.folder / "keep.yaml").write_text(KEEP)
    said = running.cpcc("upload", "keep.yaml", is_checked=False)
    assert "data/conf.gro" in said.stderr, "a file that is not there"
    assert running.ask("ls")["instances"] == []


def test_an_open_transaction_takes_a_file_as_one_of_its_changes(running: System) -> None:
    (running.folder / "network.xml").write_text(ADDMUL, encoding="utf-8")
    running.cpcc("transact")
    running.cpcc("instance", "float::add", "last")
    running.cpcc("upload", "network.xml")
    running.cpcc("connect", "add_6:out.c", "last:in.a")
    assert running.ask("ls")["instances"] == []
    running.cpcc("commit")
    assert [row["path"] for row in running.ask("ls")["instances"]] == ["last", "addmul", "add_6"]


def bits(value: object) -> object:
    """Make any two different values compare as different."""
    return "nan" if value != value else struct.pack("<d", value) if isinstance(value, float) else value


def test_values_and_networks_come_back_to_the_bit(running: System) -> None:
    (running.folder / "data").mkdir()
    (running.folder / "data" / "conf.gro").write_bytes(b"\0\1water\n")
    (running.folder / "keep.yaml").write_text(KEEP)
    running.cpcc("upload", "keep.yaml")
    with running.client() as client:
        first = client.project("first")
        for field, hard in (("f", FLOATS), ("i", INTS), ("s", TEXTS)):
            for value in hard:
                text = repr(value) if field != "s" else value
                running.cpcc("set", f"keep:in.{field}", text)
                assert bits(first.get(f"keep:out.{field}")) == bits(value), "typed"
                first.set(f"keep:in.{field}", value)
                shown = running.cpcc("get", f"keep:out.{field}").stdout.removeprefix(f"keep:out.{field}: ").removesuffix("\n")
                assert field == "s" or bits(type(value)(shown)) == bits(value), "set by the API"
                again = client.start_project(f"{field}-{hard.index(value)}")
                by_file(running, again)
                assert bits(again.get(f"keep:out.{field}")) == bits(value), "exported and uploaded"
                assert again.export_workflow().partition("\n")[2] == first.export_workflow().partition("\n")[2]
                if field != "s" or value.isprintable():
                    by_xml(running, again, field, text)
                    assert bits(again.get(f"keep:out.{field}")) == bits(value), "in XML"
        running.cpcc("getf", "-p", "s-0", "keep:out.d", "-f", "back.gro")
    assert (running.folder / "back.gro").read_bytes() == b"\0\1water\n"


def by_file(system: System, project: Project) -> None:
    """Export the current project and upload what was written to another, with the programs."""
    system.cpcc("export", "-o", "first.yaml")
    system.cpcc("upload", "-p", project.name, "first.yaml")


def by_xml(system: System, project: Project, field: str, text: str) -> None:
    """Set a value through the original's form, with the API."""
    file = system.folder / "value.xml"
    project.unset(f"keep:in.{field}")
    source = f'<cpc><network><assign dest="keep:in.{field}" value={quoteattr(text)}/></network></cpc>'
    file.write_text(source, encoding="utf-8")
    project.upload_workflow(file)
