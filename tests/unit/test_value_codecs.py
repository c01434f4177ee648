"""Values come back as they went: through messages, the log, typed text, YAML and XML; to the last bit."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
import yaml
from hypothesis import given, settings, strategies as st
from tests.unit.drawn_values import ANY_TYPE, HARD_FLOATS, HARD_INTS, HARD_TEXTS, bits, floats, ints, texts, values_of
from tests.unit.rig import Rig

from copernicus.client.output import json as json_output, text as text_output
from copernicus.dataflow import facts as f
from copernicus.dataflow.edits import read_text as typed
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema
from copernicus.model.types import decode, parse_type
from copernicus.model.values import FileRef, to_json
from copernicus.server.projects.workflows.literals import LocalFiles, read_literal
from copernicus.server.projects.workflows.xml_file import read_xml
from copernicus.server.projects.workflows.yaml_nodes import read_nodes
from copernicus.server.projects.workflows.yaml_text import entry
from copernicus.wire import codec, messages as m

XML_CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff", include_characters="\t\n\r")


def through_yaml(kind: str, value: Any) -> Any:
    """Write a value as an entry of a file, and read it."""
    node = read_nodes("net.yaml", "\n".join(entry("x", value, 0)).encode())
    assert node is not None
    assert isinstance(node.value, dict)
    return decode(parse_type(kind), read_literal(parse_type(kind), node.value["x"].raw, "x", LocalFiles({})))


def through_xml(kind: str, text: str) -> Any:
    """Put a text into an attribute as XML writes it, and read it."""
    attribute = quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
    source = f'<cpc><network><assign dest="a:in.x" value={attribute}/></network></cpc>'
    (declared,) = read_xml("net.xml", source.encode()).body.values
    return decode(parse_type(kind), read_literal(parse_type(kind), declared.raw, "x", LocalFiles({})))


@settings(max_examples=300)
@given(values_of(ANY_TYPE))
def test_values_survive_messages_the_log_and_yaml(value: Any) -> None:
    kind = str(ANY_TYPE)
    request = m.ApplyRequest("p", [e.SetValue("a:in.x", to_json(value))])
    (edit,) = codec.decode(codec.encode(request), m.ApplyRequest).edits
    assert isinstance(edit, e.SetValue)
    assert bits(decode(ANY_TYPE, edit.value)) == bits(value)
    record = f.Record(1, 0.0, "ada", "EditsRequested", "", (f.Wrote(1, "in", ("x",), to_json(value)),))
    (wrote,) = f.decode_record(f.encode_record(record)).facts
    assert isinstance(wrote, f.Wrote)
    assert bits(decode(ANY_TYPE, wrote.value)) == bits(value)
    assert bits(through_yaml(kind, value)) == bits(value)


@settings(max_examples=200)
@given(values_of(parse_type("record{i: int, f: float, b: bool, s: string, fs: float?[], r: record{x: float?, y: string?}[]}")))
def test_other_readers_of_yaml_see_the_same_values(value: Any) -> None:
    assert bits(yaml.safe_load("\n".join(entry("x", value, 0)))["x"]) == bits(value)


@pytest.mark.parametrize("number", HARD_FLOATS)
def test_hard_floats_are_typed_shown_and_filed_to_the_bit(number: float) -> None:
    same_float(number)


@settings(max_examples=500)
@given(floats)
def test_floats_are_typed_shown_and_filed_to_the_bit(number: float) -> None:
    same_float(number)


def same_float(number: float) -> None:
    shown = text_output.value(to_json(number), "float")
    assert bits(typed(parse_type("float"), shown, "x")) == bits(number)
    assert bits(decode(parse_type("float"), codec.decode(json_output.text(to_json(number)).encode(), object))) == bits(number)
    assert bits(through_yaml("float", number)) == bits(number)
    assert bits(through_yaml("float[]", [number] * 30)) == bits([number] * 30)
    assert bits(through_xml("float", repr(number))) == bits(number)


@given(st.one_of(st.sampled_from(HARD_INTS), ints))
def test_integers_of_64_bits_keep_every_bit(number: int) -> None:
    shown = text_output.value(number, "int")
    assert typed(parse_type("int"), shown, "x") == number
    assert codec.decode(json_output.text(number).encode(), object) == number
    assert through_yaml("int", number) == through_xml("int", str(number)) == number


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_hard_texts_stay_texts(text: str) -> None:
    same_text(text)


@settings(max_examples=500)
@given(texts)
def test_texts_stay_texts(text: str) -> None:
    same_text(text)


def same_text(text: str) -> None:
    assert typed(parse_type("string"), text, "x") == text
    assert text_output.value(text, "string") == text
    assert codec.decode(json_output.text(text).encode(), str) == text
    assert through_yaml("string", text) == text
    assert through_yaml("string?[]", [text, None]) == [text, None]


@settings(max_examples=300)
@given(st.text(XML_CHARACTERS, max_size=20))
def test_texts_survive_xml_where_it_has_the_characters(text: str) -> None:
    assert through_xml("string", text) == text


def test_a_file_without_a_path_is_one_by_content() -> None:
    file = FileRef("ab" * 32, 7, 'a "b"\n.gro')
    assert through_yaml("file", file) == file
    assert bits(through_yaml("file?[]", [file, None] * 20)) == bits([file, None] * 20)


def test_the_other_zero_is_a_change() -> None:
    keep = FunctionSchema("k::keep", "pure", (Field("x", "float"), Field("xs", "float[]", default=[])), (Field("y", "float"),))
    rig = Rig(ModuleSchema("k", functions=(keep,)))
    rig.edit(e.MakeInstance("k::keep", "a"), e.SetText("a:in.x", "0.0"), e.SetText("a:in.xs", "[0.0, 1.0]"))
    for path, text in (("a:in.x", "-0.0"), ("a:in.xs", "[-0.0, 1.0]")):
        before = rig.network.seq
        rig.set(path, text)
        rig.set(path, text)
        assert rig.network.seq == before + 1, "written once; the second time nothing changed"
    assert (str(rig.get("a:in.x")), str(rig.get("a:in.xs[0]"))) == ("-0.0", "-0.0")
