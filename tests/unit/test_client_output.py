"""What people read: sizes, times, tables, values that can be typed back."""

from __future__ import annotations

import json
import math
from typing import Any

import click
import pytest
from hypothesis import given, strategies as st

from copernicus.client.output import sentences, text
from copernicus.client.output.json import text as json_text
from copernicus.model import edits as e
from copernicus.model.values import float_to_json
from copernicus.wire import messages as m


@given(st.floats())
def test_floats_round_trip(number: float) -> None:
    shown = text.value(float_to_json(number), "float")
    back = float(shown)
    assert back == number or (math.isnan(back) and math.isnan(number))
    assert math.copysign(1, back) == math.copysign(1, number) or math.isnan(number)
    assert json.loads(json_text(m.GetReply("a:out.x", "float", float_to_json(number))))["value"] == float_to_json(number)


@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(), lambda one: st.lists(one, max_size=3)))
def test_whatever_the_value_is_it_is_shown(data: Any) -> None:
    assert isinstance(text.value(data, "int"), str)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (1_234_567, "1.2 MB"), (5e15, "5000.0 TB")],
)
def test_sizes(count: float, shown: str) -> None:
    assert text.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0.0 s"),
        (0.25, "0.2 s"),
        (59.6, "1 min"),
        (75, "1 min 15 s"),
        (3600, "1 h"),
        (4000, "1 h 6 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_columns_stand_below_each_other_whatever_is_in_them() -> None:
    lines = text.table(
        ("NAME", "EMPTY", "N", "WHY"), [("雪", "", "7", "a\nb"), ("long name", "", "1234", "\x1b[2Jc")], right="N"
    )
    assert lines == [
        "NAME          N  WHY",
        "雪            7  a",
        "                 b",
        "long name  1234  \\x1b[2Jc",
    ]


def test_a_table_without_rows_has_no_head() -> None:
    assert text.table(("A", "B"), []) == []


def test_states_to_worry_about_come_first() -> None:
    assert text.counts({"idle": 3, "new": 1, "error": 2, "held": 0}) == "error 2, idle 3, new 1"


TABLE = (
    ("JOB", "INSTANCE", "STATE", "WAITED", "WHY"),
    [
        ("7", "villin:grompp_mdrun_0:grompp", "queued", "11 s", ""),
        ("11", "villin:grompp_mdrun_1:grompp", "error", "", "no molecules were defined in the system\n  at topol.top"),
    ],
)


def test_a_table_fits_its_terminal() -> None:
    def plain(room: int) -> list[str]:
        return [click.unstyle(line) for line in text.table(*TABLE, right="JOB", room=room)]

    assert plain(200)[1].split() == ["7", "villin:grompp_mdrun_0:grompp", "queued", "11", "s"]
    assert plain(78) == [
        "JOB  INSTANCE                      STATE   WAITED  WHY",
        "  7  villin:grompp_mdrun_0:grompp  queued  11 s",
        " 11  villin:grompp_mdrun_1:grompp  error           no molecules were defined",
        "                                                   in the system",
        "                                                     at topol.top",
    ]
    assert plain(50) == [
        "JOB  INSTANCE                      STATE   WAITED",
        "  7  villin:grompp_mdrun_0:grompp  queued  11 s",
        " 11  villin:grompp_mdrun_1:grompp  error",
        "  why: no molecules were defined in the system",
        "    at topol.top",
    ]
    assert plain(20)[1:5] == ["  7", "  instance:", "  villin:grompp_mdrun_0:grompp,", "  state: queued,"]


@given(st.lists(st.lists(st.text(st.sampled_from("ab ,:\n")), min_size=3, max_size=3), max_size=4), st.integers(1, 60))
def test_a_table_keeps_every_word_whatever_the_width(rows: list[list[str]], room: int) -> None:
    lines = text.table(("A", "B", "C"), rows, room=room)
    words = [word for row in rows for cell in row for word in cell.split()]
    assert {word.rstrip(",") for word in words} <= {word.rstrip(",") for line in lines for word in line.split()} | {""}
    longest = max([len(word) for word in words] + [1])
    assert all(len(line) <= max(room, longest + len("    a: ") + 1) for line in lines)


def test_of_what_was_only_looked_at_words_are_told_and_no_places() -> None:
    edits = [e.UpgradeModule("m"), e.SetText("db:in.x[+]", "7"), e.ClearError("db")]
    assert sentences.beforehand(edits, ["nothing of m has changed", "db:in.x[1]", ""]) == ["Nothing of m has changed."]
