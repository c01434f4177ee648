"""Values of any type, drawn by hypothesis: the hard floats, all of 64 bits, any character, holes and absent members."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

from copernicus.model.types import Type, parse_type
from copernicus.model.values import INT_MAX, INT_MIN, FileRef

HARD_FLOATS = (0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1e-5, 1e16, 1e22, 3.0,
               float("nan"), float("inf"), float("-inf"))  # fmt: skip
HARD_INTS = (0, -1, INT_MAX, INT_MIN, 2**53 + 1, -(2**53) - 1)
HARD_TEXTS = (
    "", " ", "null", "~", "true", "no", "on", "1", "1e3", "nan", ".inf", "- a", "a: b", "# c", "'", '"', "\\", "\0", "\x1b[31m",
    "\x7f\x85\xa0", "\u2028\u2029\ufeff", "\ufffe\uffff", "a\r\n\tb", "  x  ", "&a *b !c %d @e `f", "{[,]}", "é", "e\u0301",
    "雪😀\U0010ffff", "<![CDATA[&amp;]]>", "[1, 2]", "2026-11-22", "12:30:45", "0x10", "1_000", "=", "<<",
)  # fmt: skip
ANY_TYPE = parse_type(
    'record{i: int, f: float, b: bool, s: string, e: string("nve", "nvt")?, d: file?, fs: float?[], ss: string[][], '
    "r: record{x: float?, y: string?}[]}"
)
floats = st.one_of(
    st.sampled_from(HARD_FLOATS), st.floats(), st.binary(min_size=8, max_size=8).map(lambda b: struct.unpack("<d", b)[0])
)
ints = st.one_of(st.sampled_from(HARD_INTS), st.integers(INT_MIN, INT_MAX))
texts = st.one_of(st.sampled_from(HARD_TEXTS), st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
files = st.builds(FileRef, st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, INT_MAX), texts)


def values_of(kind: Type) -> st.SearchStrategy[Any]:
    """Python values of a type; None where it may be absent."""
    match kind.kind:
        case "int":
            whole: st.SearchStrategy[Any] = ints
        case "float":
            whole = floats
        case "bool":
            whole = st.booleans()
        case "string":
            whole = st.sampled_from(kind.choices) if kind.choices else texts
        case "file":
            whole = files
        case "array":
            whole = st.lists(values_of(kind.element), max_size=4)
        case _:
            members = st.fixed_dictionaries({name: values_of(member) for name, member in kind.fields})
            whole = members.map(lambda record: {name: member for name, member in record.items() if member is not None})
    return st.one_of(st.none(), whole) if kind.is_optional else whole


def bits(value: Any) -> Any:
    """A value so that `==` tells any two apart: floats by their bits (all nan alike), types by name."""
    if isinstance(value, float):
        return "nan" if value != value else struct.pack("<d", value)
    if isinstance(value, list):
        return [bits(item) for item in value]
    if isinstance(value, dict):
        return {name: bits(item) for name, item in value.items()}
    return (type(value).__name__, value)
