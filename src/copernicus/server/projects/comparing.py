"""Two results of one job, compared: identical, within what was declared, or where they first differ. Blocks: use a thread.

Numbers with an error (records of `value` and `error`) agree within three times the combined error. An output with a declared
tolerance agrees when its numbers differ by no more than that part of the larger one; of a text file, everything that is no
number must be equal. Everything else must be equal to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from math import hypot, isfinite
from typing import Any, Literal

import msgspec

from copernicus.blobs.folder import BlobFolder
from copernicus.errors import CopernicusError
from copernicus.model.counts import counted
from copernicus.server.projects.wording import show_value

Verdict = Literal["identical", "within error", "differs"]
RANK: tuple[Verdict, ...] = ("identical", "within error", "differs")
ERRORS_APART = 3.0
CHUNK_BYTES = 1024 * 1024
MOST_NUMBERS_BYTES = 256 * 1024**2
SHOWN = 60
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?")


class Finding(msgspec.Struct, frozen=True):
    """How one place of an output compares; `where` it first differs, in words ("" when it does not)."""

    verdict: Verdict
    where: str = ""


SAME, NEAR = Finding("identical"), Finding("within error")


class Comparison:
    """Compares outputs. `tolerances` are relative, by output."""

    def __init__(self, blobs: BlobFolder, tolerances: dict[str, float]) -> None:
        self._blobs, self._tolerances = blobs, tolerances

    def outputs(self, then: dict[str, Any], now: dict[str, Any]) -> dict[str, Finding]:
        """Compare all outputs, by name."""
        return {
            name: self._value(name, then.get(name), now.get(name), self._tolerances.get(name, 0.0))
            for name in dict.fromkeys([*then, *now])
        }

    def _value(self, where: str, then: Any, now: Any, tolerance: float) -> Finding:
        if then is None or now is None:
            return SAME if then is now else Finding("differs", f"{where} is {'there' if then is None else 'absent'} now only")
        if isinstance(then, dict) and isinstance(now, dict):
            if "blob" in then and "blob" in now:
                return self._file(where, then, now, tolerance)
            if _is_measured(then) and _is_measured(now):
                return _measured(where, then, now)
            members = dict.fromkeys([*then, *now])
            return _worst(self._value(f"{where}.{one}", then.get(one), now.get(one), tolerance) for one in members)
        if isinstance(then, list) and isinstance(now, list):
            if len(then) != len(now):
                return Finding("differs", f"{where} has {counted(len(now), 'element')}, and had {len(then)}")
            pairs = enumerate(zip(then, now, strict=True))
            return _worst(self._value(f"{where}[{index}]", *pair, tolerance) for index, pair in pairs)
        if type(then) is type(now) and then == now:
            return SAME
        if _is_number(then) and _is_number(now):
            if then == now:
                return SAME
            if _is_near(float(then), float(now), tolerance):
                return NEAR
        return Finding("differs", f"{where} is {_cut(show_value(now))}, and was {_cut(show_value(then))}")

    def _file(self, where: str, then: dict[str, Any], now: dict[str, Any], tolerance: float) -> Finding:
        if then["blob"] == now["blob"]:
            return SAME
        try:
            if tolerance and max(then["size"], now["size"]) <= MOST_NUMBERS_BYTES and self._numbers_agree(then, now, tolerance):
                return NEAR
            return Finding("differs", f"{where}: {self._first_difference(then['blob'], now['blob'])}")
        except CopernicusError:
            return Finding("differs", f"{where}: the hashes differ, and the content of one of the files is gone")

    def _numbers_agree(self, then: dict[str, Any], now: dict[str, Any], tolerance: float) -> bool:
        for left, right in zip_longest(self._lines(then["blob"]), self._lines(now["blob"])):
            if left == right:
                continue
            if left is None or right is None:
                return False
            one, other = left.decode("utf-8", "replace"), right.decode("utf-8", "replace")
            if [part.split() for part in _NUMBER.split(one)] != [part.split() for part in _NUMBER.split(other)]:
                return False
            pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
            if not all(_is_near(_float(a), _float(b), tolerance) for a, b in pairs):
                return False
        return True

    def _lines(self, blob: str) -> Iterator[bytes]:
        rest = b""
        for chunk in self._blobs.stream(blob, chunk_bytes=CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def _first_difference(self, then: str, now: str) -> str:
        """Where two files differ first: the line of text files, the byte of others."""
        offset, line = 0, 1
        pieces = (self._blobs.stream(blob, chunk_bytes=CHUNK_BYTES) for blob in (then, now))
        is_text, begun = True, b""
        for left, right in zip_longest(*pieces, fillvalue=b""):
            is_text = is_text and b"\0" not in left and b"\0" not in right
            if left == right:
                offset, line = offset + len(left), line + left.count(b"\n")
                begun = (begun + left).rpartition(b"\n")[2][-SHOWN:]
                continue
            at = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
            if not is_text:
                return f"byte {offset + at} differs"
            line += left.count(b"\n", 0, at)
            now_line, then_line = (_line(begun + one, len(begun) + at) for one in (right, left))
            return f"line {line} is {now_line}, and was {then_line}"
        return "the hashes differ"


def worst(findings: dict[str, Finding]) -> Verdict:
    """The verdict on all outputs."""
    return max((one.verdict for one in findings.values()), key=RANK.index, default="identical")


def _worst(findings: Iterator[Finding]) -> Finding:
    found = SAME
    for one in findings:
        if RANK.index(one.verdict) > RANK.index(found.verdict):
            found = one
        if found.verdict == "differs":
            break
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_measured(value: dict[str, Any]) -> bool:
    return value.keys() == {"value", "error"} and all(map(_is_number, value.values()))


def _measured(where: str, then: dict[str, Any], now: dict[str, Any]) -> Finding:
    if then == now:
        return SAME
    if abs(now["value"] - then["value"]) <= ERRORS_APART * hypot(then["error"], now["error"]):
        return NEAR
    texts = [f"{one['value']:g} ± {one['error']:g}" for one in (now, then)]
    return Finding("differs", f"{where} is {texts[0]}, and was {texts[1]}")


def _is_near(one: float, other: float, tolerance: float) -> bool:
    if one == other:
        return True
    return isfinite(one) and isfinite(other) and abs(one - other) <= tolerance * max(abs(one), abs(other))


def _float(text: str) -> float:
    return float(text.replace("d", "e").replace("D", "e"))


def _line(data: bytes, at: int) -> str:
    start = data.rfind(b"\n", 0, at) + 1
    end = data.find(b"\n", at)
    text = data[start : end if end >= 0 else len(data)]
    return repr(_cut(text.decode("utf-8", "replace"))) if text or end >= 0 else "missing"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
