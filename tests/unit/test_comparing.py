"""When two results are the same, near, or different, and where they first differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from copernicus.blobs.folder import BlobFolder
from copernicus.blobs.hashing import hash_bytes
from copernicus.errors import UnknownPath
from copernicus.server.projects.comparing import Comparison, worst


class Blobs(dict[str, bytes]):
    """Blobs in memory."""

    def put(self, content: bytes) -> dict[str, Any]:
        blob = hash_bytes(content)
        self[blob] = content
        return {"blob": blob, "size": len(content), "name": "f"}

    def stream(self, blob: str, offset: int = 0, chunk_bytes: int = 0) -> Iterator[bytes]:
        if blob not in self:
            raise UnknownPath("gone")
        yield from (self[blob][at : at + chunk_bytes] for at in range(0, len(self[blob]), chunk_bytes))


def compared(then: Any, now: Any, tolerance: float = 0.0, blobs: Blobs | None = None) -> tuple[str, str]:
    comparison = Comparison(cast(BlobFolder, blobs if blobs is not None else Blobs()), {"x": tolerance})
    found = comparison.outputs({"x": then}, {"x": now})["x"]
    return found.verdict, found.where


@pytest.mark.parametrize(
    ("then", "now", "tolerance", "verdict", "where"),
    [
        (1, 1, 0.0, "identical", ""),
        (1.5, 1.5, 0.0, "identical", ""),
        (1, 2, 0.0, "differs", "x is 2, and was 1"),
        (1.0, 1.0 + 1e-9, 0.0, "differs", "x is 1.000000001, and was 1.0"),
        (1.0, 1.0 + 1e-9, 1e-6, "within error", ""),
        (1.0, 1.1, 1e-6, "differs", "x is 1.1, and was 1.0"),
        ("nan", "nan", 0.0, "identical", ""),
        ("a", "b", 0.5, "differs", 'x is "b", and was "a"'),
        (True, False, 0.9, "differs", "x is false, and was true"),
        ([1, 2], [1, 3], 0.0, "differs", "x[1] is 3, and was 2"),
        ([1], [1, 2], 0.0, "differs", "x has 2 elements, and had 1"),
        ({"a": [0.0]}, {"a": [0.0]}, 0.0, "identical", ""),
        ({"a": 1}, {"b": 1}, 0.0, "differs", "x.a is absent now only"),
        ({"value": 1.0, "error": 0.1}, {"value": 1.0, "error": 0.1}, 0.0, "identical", ""),
        ({"value": 1.0, "error": 0.1}, {"value": 1.4, "error": 0.1}, 0.0, "within error", ""),
        ({"value": 1.0, "error": 0.1}, {"value": 1.5, "error": 0.1}, 0.0, "differs", "x is 1.5 ± 0.1, and was 1 ± 0.1"),
        ({"value": 1.0, "error": 0.0}, {"value": 1.0, "error": 0.2}, 0.0, "within error", ""),
        (None, None, 0.0, "identical", ""),
        (None, 1, 0.0, "differs", "x is there now only"),
    ],
)
def test_values(then: Any, now: Any, tolerance: float, verdict: str, where: str) -> None:
    assert compared(then, now, tolerance) == (verdict, where)


@pytest.mark.parametrize(
    ("then", "now", "tolerance", "verdict", "where"),
    [
        (b"one\ntwo\n", b"one\ntwo\n", 0.0, "identical", ""),
        (b"one\ntwo\nthree\n", b"one\ntwx\nthree\n", 0.0, "differs", "x: line 2 is 'twx', and was 'two'"),
        (b"one\n", b"one\ntwo\n", 0.0, "differs", "x: line 2 is 'two', and was missing"),
        (b"one\ntwo\n", b"one\n", 0.0, "differs", "x: line 2 is missing, and was 'two'"),
        (b"\0" * 100 + b"a", b"\0" * 100 + b"b", 0.0, "differs", "x: byte 100 differs"),
        (b"E = -1.50000 kJ\n", b"E = -1.50001 kJ\n", 1e-4, "within error", ""),
        (b"E = -1.50000 kJ\n", b"E = -1.6 kJ\n", 1e-4, "differs", "x: line 1 is 'E = -1.6 kJ', and was 'E = -1.50000 kJ'"),
        (b"E = -1.5 kJ\n", b"E = -1.5 kcal\n", 0.5, "differs", "x: line 1 is 'E = -1.5 kcal', and was 'E = -1.5 kJ'"),
        (b"1 2 3\n", b"1 2\n", 0.5, "differs", "x: line 1 is '1 2', and was '1 2 3'"),
        (b"1e-3 2.0D+01\n", b"1.0e-3  20.0\n", 1e-9, "within error", ""),
        (b"", b"x", 0.0, "differs", "x: line 1 is 'x', and was missing"),
    ],
)
def test_files(then: bytes, now: bytes, tolerance: float, verdict: str, where: str) -> None:
    blobs = Blobs()
    assert compared(blobs.put(then), blobs.put(now), tolerance, blobs) == (verdict, where)


def test_a_line_that_begins_in_an_earlier_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copernicus.server.projects.comparing.CHUNK_BYTES", 7)
    blobs = Blobs()
    then, now = blobs.put(b"one\nlonger than a piece\n"), blobs.put(b"one\nlonger than a Piece\n")
    assert compared(then, now, 0.0, blobs) == ("differs", "x: line 2 is 'longer than a Pie', and was 'longer than a pie'")
    assert compared(then, then, 0.1, blobs) == ("identical", "")


def test_a_file_whose_content_is_gone_can_still_be_the_same() -> None:
    blobs = Blobs()
    then, now = blobs.put(b"a"), blobs.put(b"b")
    blobs.clear()
    assert compared(then, then, 0.0, blobs) == ("identical", "")
    assert compared(then, now, 0.0, blobs)[0] == "differs"


def test_the_worst_output_counts() -> None:
    comparison = Comparison(cast(BlobFolder, Blobs()), {"b": 0.1})
    assert worst(comparison.outputs({"a": 1, "b": 1.0}, {"a": 1, "b": 1.0})) == "identical"
    assert worst(comparison.outputs({"a": 1, "b": 1.0}, {"a": 1, "b": 1.01})) == "within error"
    assert worst(comparison.outputs({"a": 1, "b": 1.0}, {"a": 2, "b": 1.01})) == "differs"
