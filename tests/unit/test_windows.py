"""The kept end of a growing file: bounded, in order, and whoever follows sees every byte that is kept once."""

from __future__ import annotations

from hypothesis import given, strategies as st

from copernicus.server.dispatch.windows import PIECE_BYTES, Window, Windows
from copernicus.wire.messages import Piece

LIMIT = 20


@given(st.lists(st.tuples(st.binary(max_size=30), st.integers(0, 12), st.booleans()), max_size=30))
def test_a_follower_sees_every_byte_that_is_kept_once(
    steps: list[tuple[bytes, int, bool]],
) -> None:
    """The file grows by each step; of each piece a part was there already; a follower reads now and then."""
    window, file, seen, at = Window(), b"", {}, None
    for grown, back, is_read in steps:
        file += grown
        begin = max(0, window.end - back)  # a request that was repeated brings what is here already
        window.put(begin, file[begin:], len(file), LIMIT)
        assert window.end - window.start <= LIMIT
        if is_read:
            offset, data = window.read(at, 7)
            assert at is None or offset >= at
            for place, byte in enumerate(data, start=offset):
                assert place not in seen
                seen[place] = byte
            at = offset + len(data)
    assert all(file[place] == byte for place, byte in seen.items())
    while (found := window.read(at, 7))[1]:
        at = found[0] + len(found[1])
    assert file[window.start :] == window.read(None, LIMIT)[1]


def test_a_file_that_became_shorter_begins_anew() -> None:
    window = Window()
    window.put(0, b"first and long", 14, LIMIT)
    window.put(0, b"", 0, LIMIT)
    assert window.read(14, 99) == (0, b"")
    window.put(0, b"second", 6, LIMIT)
    assert window.read(14, 99) == (0, b"second")


def test_who_is_ahead_of_a_window_that_is_filled_anew_waits_for_it() -> None:
    window = Window()
    window.put(0, b"0123", 10, LIMIT)  # after a restart of the server, the first piece of several
    assert window.read(8, 99) == (8, b"")
    window.put(4, b"456789", 10, LIMIT)
    assert window.read(8, 99) == (8, b"89")


def test_an_attempt_has_a_bounded_number_of_windows_those_that_grew_last() -> None:
    windows = Windows()
    counted = sum(windows.put(Piece(1, 1, f"{n}.log", 0, b"x", 1), LIMIT) for n in range(100))
    assert counted == len(windows.files) == windows.MOST_FILES
    assert "99.log" in windows.files
    assert len(windows.news({"99.log": 1})) == windows.MOST_FILES - 1
    windows.put(Piece(1, 1, "99.log", 1, b"y" * (PIECE_BYTES + 1), PIECE_BYTES + 2), 2 * PIECE_BYTES)
    assert len(windows.news({"99.log": 1})[-1].data) == PIECE_BYTES
