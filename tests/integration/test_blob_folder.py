"""The blob folder on a real disk: whole or not at all, checked, never written twice."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from copernicus.blobs.folder import BlobFolder, WrongOffset
from copernicus.blobs.hashing import CHUNK_BYTES, hash_bytes, hash_file
from copernicus.errors import Conflict, CorruptData, NoSpace, UnknownPath, UsageError
from copernicus.model.values import FileRef

DATA = bytes(range(256)) * 20_000  # five chunks, not a whole number of them
BLOB = hash_bytes(DATA)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "blobs")


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_made_before_the_first_write(blobs: BlobFolder) -> None:
    assert not blobs.has(BLOB)
    assert blobs.received(BLOB) == 0
    assert blobs.remove_stale(1e18) == 0
    assert list(blobs.blobs()) == []
    assert not blobs.root.exists()


def test_bytes_and_files_come_back(blobs: BlobFolder, tmp_path: Path) -> None:
    (tmp_path / "a.xtc").write_bytes(DATA)
    assert blobs.put_file(tmp_path / "a.xtc") == FileRef(BLOB, len(DATA), "a.xtc")
    assert blobs.put_bytes(DATA, "b") == FileRef(BLOB, len(DATA), "b")
    assert b"".join(blobs.stream(BLOB)) == DATA
    assert everything_in(blobs.root) == {f"{BLOB[:2]}/{BLOB}"}
    assert (tmp_path / "a.xtc").exists()
    assert oct(blobs.path(BLOB).stat().st_mode & 0o777) == "0o400"


def test_a_file_that_is_given_away_is_moved_not_copied(blobs: BlobFolder, tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_bytes(DATA)
    inode = file.stat().st_ino
    blobs.put_file(file, "x", is_moved=True)
    assert not file.exists()
    assert blobs.path(BLOB).stat().st_ino == inode


@pytest.mark.parametrize("how", ["put_many", "put_stream", "append"])
def test_nobody_counts_on_a_blob_before_its_name_is_durable(
    blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    seen = []

    def sync(folder: Path) -> None:
        if len(folder.name) == 2:
            assert blobs.path(BLOB).exists()
            seen.append((blobs.has(BLOB), blobs.received(BLOB)))

    monkeypatch.setattr("copernicus.blobs.folder.sync_folder", sync)
    match how:
        case "put_many":
            blobs.put_many([(DATA, "a"), (DATA, "b")])
        case "put_stream":
            blobs.put_stream(BLOB, [DATA])
        case "append":
            blobs.append(BLOB, len(DATA), 0, [DATA])
    assert seen == [(False, 0)]
    assert blobs.has(BLOB)
    assert blobs.received(BLOB) == len(DATA)


def test_a_file_that_has_another_name_elsewhere_is_copied(blobs: BlobFolder, tmp_path: Path) -> None:
    file, other = tmp_path / "out", tmp_path / "other"
    file.write_bytes(DATA)
    os.link(file, other)
    blobs.put_file(file, is_moved=True)
    other.write_bytes(b"changed through the other name")
    assert not file.exists()
    blobs.verify(BLOB)


def test_links_and_pipes_are_no_files(blobs: BlobFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", ".", "missing"):
        for is_moved in (False, True):
            with pytest.raises(UsageError):
                blobs.put_file(tmp_path / name, is_moved=is_moved)
    assert not blobs.root.exists() or not everything_in(blobs.root)


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(DATA)), max_size=6), is_reopened=st.booleans(), piece=st.integers(50_000, 3 * CHUNK_BYTES)
)
def test_an_upload_may_be_cut_anywhere(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], is_reopened: bool, piece: int
) -> None:
    folder = BlobFolder(tmp_path_factory.mktemp("cut"), is_durable=False)
    for end in [*sorted(cuts), len(DATA)]:
        assert folder.has(BLOB) == (folder.received(BLOB) == len(DATA))
        if folder.has(BLOB):
            break
        start = folder.received(BLOB)
        stretch = DATA[start:end]
        folder.append(BLOB, len(DATA), start, (stretch[at : at + piece] for at in range(0, len(stretch), piece)))
        if is_reopened:  # a restart forgets the running hash
            folder = BlobFolder(folder.root, is_durable=False)
    assert folder.read_bytes(BLOB) == DATA
    assert everything_in(folder.root) == {f"{BLOB[:2]}/{BLOB}"}


def test_an_upload_goes_on_only_where_it_ended(blobs: BlobFolder) -> None:
    blobs.append(BLOB, len(DATA), 0, [DATA[:1000]])
    for offset in (0, 999, 1001, len(DATA)):
        with pytest.raises(WrongOffset) as raised:
            blobs.append(BLOB, len(DATA), offset, [b""])
        assert raised.value.received == 1000
    with pytest.raises(UsageError):
        blobs.append(BLOB, len(DATA), 1000, [DATA[1000:] + b"more"])
    blobs.append(BLOB, len(DATA), blobs.received(BLOB), [DATA[blobs.received(BLOB) :]])
    with pytest.raises(WrongOffset) as raised:
        blobs.append(BLOB, len(DATA), 0, [DATA])
    assert raised.value.received == len(DATA)


def test_wrong_bytes_never_become_visible(blobs: BlobFolder) -> None:
    wrong = DATA[:-1] + b"!"
    with pytest.raises(CorruptData):
        blobs.append(BLOB, len(DATA), 0, [wrong])
    assert not blobs.has(BLOB)
    assert blobs.received(BLOB) == 0
    blobs.append(BLOB, len(DATA), 0, [wrong[: CHUNK_BYTES // 2]])
    partial = blobs.root / "incoming" / BLOB
    again = BlobFolder(blobs.root)
    partial.write_bytes(b"x" * again.received(BLOB))  # a torn write of a power cut, found by a new process
    with pytest.raises(CorruptData):
        again.append(BLOB, len(DATA), again.received(BLOB), [DATA[again.received(BLOB) :]])
    assert not again.has(BLOB)


def test_the_newest_upload_takes_over_from_one_that_hangs(blobs: BlobFolder) -> None:
    hanging = blobs.upload(BLOB, len(DATA), 0)
    hanging.write(DATA[:5000])
    fresh = blobs.upload(BLOB, len(DATA), 5000)
    with pytest.raises(Conflict):
        hanging.write(DATA[5000:6000])
    hanging.close()
    fresh.write(DATA[5000:])
    assert fresh.finish()
    fresh.close()
    assert blobs.read_bytes(BLOB) == DATA


@pytest.mark.parametrize("position", [0, CHUNK_BYTES, len(DATA) - 1])
def test_a_flipped_bit_is_found_and_not_served(blobs: BlobFolder, tmp_path: Path, position: int) -> None:
    file = blobs.put_bytes(DATA)
    path = blobs.path(BLOB)
    path.chmod(0o600)
    with open(path, "r+b") as raw:
        raw.seek(position)
        raw.write(bytes([DATA[position] ^ 4]))
    with pytest.raises(CorruptData):
        blobs.verify(BLOB)
    served = b""
    with contextlib.suppress(CorruptData):
        for chunk in blobs.stream(BLOB, offset=1):
            served += chunk
    assert len(served) < len(DATA) - 1
    with pytest.raises(CorruptData):
        blobs.link_into(file, tmp_path / "input")
    assert not (tmp_path / "input").exists()


@pytest.mark.parametrize("offset", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, len(DATA) - 1, len(DATA)])
def test_a_stream_begins_at_its_offset(blobs: BlobFolder, offset: int) -> None:
    blobs.put_bytes(DATA)
    assert b"".join(blobs.stream(BLOB, offset)) == DATA[offset:]


def test_a_job_that_writes_to_its_input_does_not_change_the_blob(blobs: BlobFolder, tmp_path: Path) -> None:
    file = blobs.put_bytes(DATA)
    blobs.link_into(file, tmp_path / "state.cpt")
    with open(tmp_path / "state.cpt", "ab") as checkpoint:
        checkpoint.write(b"appended")
    blobs.verify(BLOB)
    with pytest.raises(FileExistsError):
        blobs.link_into(file, tmp_path / "state.cpt")
    assert hash_file(tmp_path / "state.cpt")[0] == hash_bytes(DATA + b"appended")
    blobs.link_into(file, tmp_path / "shared", is_shared=True)
    assert (tmp_path / "shared").samefile(blobs.path(BLOB))


def test_what_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path / "blobs", reserve_bytes=1 << 60)
    with pytest.raises(NoSpace):
        blobs.put_bytes(DATA)
    with pytest.raises(NoSpace):
        blobs.upload(BLOB, len(DATA), 0)


def test_stale_parts_go_and_open_uploads_stay(blobs: BlobFolder) -> None:
    other = hash_bytes(b"other")
    blobs.append(BLOB, len(DATA), 0, [DATA[:10]])
    upload = blobs.upload(other, 5, 0)
    assert blobs.remove_stale(older_than=1e18) == 1
    assert blobs.received(BLOB) == 0
    upload.write(b"other")
    assert upload.finish()
    upload.close()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, "incoming", ""])
def test_only_hashes_are_names(blobs: BlobFolder, name: str) -> None:
    for call in (blobs.has, blobs.received, blobs.path, blobs.remove, lambda blob: blobs.upload(blob, 1, 0)):
        with pytest.raises(UsageError):
            call(name)
    with pytest.raises(UnknownPath):
        list(blobs.stream("0" * 64))
