"""The ledger of the proof: rows of one shape, sums that add up, and a page that shows them."""

from __future__ import annotations

import datetime
import re

from tests.proof.ledger import BLOCK, FAULTS, HARMS, PAGE, Row, read, row_of, shown, table, totals

ROWS = [
    Row("0" * 12, "2026-01-01", 1, "kills", 60.0, {"kills": 50, "worlds": 2}, dict.fromkeys(HARMS, 0), {"a": True}),
    Row("1" * 12, "2026-01-02", 2, "cuts", 30.0, {"power_cuts": 2100}, {"lost": 1}, {"a": True, "b": False}),
    Row("1" * 12, "2026-01-02", 3, "kills", 30.0, {"kills": 7}, {}, {"b": True}),
]


def test_rows_have_one_shape_and_stand_in_their_order() -> None:
    rows = read()
    for row in rows:
        assert re.fullmatch(r"[0-9a-f]{12}", row.commit), row
        datetime.date.fromisoformat(row.date)
        assert re.fullmatch(r"[a-z_]+", row.part), row
        assert row.seconds > 0, row
        assert set(row.found) == set(HARMS), row
        assert any(name in FAULTS for name in row.counts), row
        assert all(isinstance(number, int) and number >= 0 for number in (*row.counts.values(), *row.found.values())), row
        assert all(isinstance(is_caught, bool) for is_caught in row.planted.values()), row
    assert [row.date for row in rows] == sorted(row.date for row in rows)


def test_sums_add_up() -> None:
    sums = totals(ROWS)
    assert (sums.runs, sums.seconds) == (3, 120.0)
    assert dict(sums.counts) == {"kills": 57, "worlds": 2, "power_cuts": 2100}
    assert sums.found["lost"] == 1
    assert sums.bugs == {"a": ({"kills", "cuts"}, set()), "b": ({"kills"}, {"cuts"})}
    assert "| power cuts | 2,100 |" in table(sums)
    assert "| planted bugs caught | 2 of 2 |" in table(sums)


def test_the_page_shows_the_totals() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert BLOCK.search(text)
    assert shown(text, table(totals(read()))) == text, "python -m tests.proof.ledger prints the table"


def test_long_runs_were_long() -> None:
    sums = totals(read())
    assert sums.counts["kills"] >= 1000
    assert sums.counts["power_cuts"] >= 10_000
    assert not any(sums.found.values()), "what was found is mended, and the run made again"


def test_a_row_holds_what_a_part_printed() -> None:
    row = row_of({"part": "kills", "seed": 3, "kills": 9, "lost": 0, "stuck": 2, "other": 1, "planted": {"a": True},
                  "seconds": 1.5, "findings": ["x"], "skipped": ""}, "c" * 12)  # fmt: skip
    assert (row.part, row.seed, row.seconds, row.counts, row.planted) == ("kills", 3, 1.5, {"kills": 9}, {"a": True})
    assert row.found == {"lost": 0, "duplicated": 0, "stuck": 2, "unexpected": 1}
