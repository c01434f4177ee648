"""What every `BookStore` must do, and what the one on disk must do besides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from copernicus.errors import CorruptData, NoSpace, SettingsError, Unavailable
from copernicus.model.jobs import JobDescription, StagedFile
from copernicus.model.values import FileRef
from copernicus.server.storage.abc import (
    AppendRecord,
    AttemptRow,
    BookStore,
    Change,
    DropBorrowed,
    DropProject,
    DropRetired,
    HostRecord,
    JobRecord,
    ProjectRow,
    PutBorrowed,
    PutHost,
    PutJob,
    PutProject,
    PutRetired,
    RememberAnswer,
    Setback,
    Unit,
)
from copernicus.server.storage.memory import MemoryBook
from copernicus.server.storage.sqlite import book as sqlite_book
from copernicus.server.storage.sqlite.book import MIGRATIONS, SqliteBook
from copernicus.server.storage.sqlite.database import check_sqlite, open_database
from copernicus.server.storage.sqlite.epochs import GAP, begin_epoch

JOB = JobRecord(
    id=7,
    project="p1",
    instance=3,
    path="run",
    key="k" * 64,
    description=JobDescription("true", ("-x", "é"), files=(StagedFile("in", FileRef("a" * 64, 5)),)),
    state="queued",
    created_at=12.5,
    attempts=(AttemptRow(1, "w", ended_at=3.25, error="no\nmore"),),
)
Open = Callable[[], BookStore]


@pytest.fixture(params=["memory", "sqlite"])
def open_book(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "sqlite":
        return lambda: SqliteBook(tmp_path / "projects" / "book.sqlite")
    disk = MemoryBook().disk
    return lambda: MemoryBook(disk)


def unit(*changes: object) -> Unit:
    result = Unit()
    result.changes.extend(changes)  # type: ignore[arg-type]
    return result


async def fill_the_disk(book: BookStore) -> None:
    """From now on the disk of `book` takes nothing more."""
    if isinstance(book, MemoryBook):
        book.fail_with = NoSpace("full")
    elif isinstance(book, SqliteBook):
        await book.submit(unit(PutProject(ProjectRow("filler", "filler", 0.0))))
        assert book._writer is not None
        book._writer.pragma("max_page_count", 1)


def test_what_was_written_is_there_after_a_restart(open_book: Open) -> None:
    async def write() -> None:
        book = open_book()
        assert book.projects() == []
        assert book.last_job() == 0
        await book.submit(unit(PutProject(ProjectRow("p1", "one", 1.5)), AppendRecord("p1", 1, b"a")))
        await book.submit(unit(AppendRecord("p1", 2, b"b"), PutJob(JOB), RememberAnswer("r", "me", b"yes", 5.0)))
        book.close()

    asyncio.run(write())
    book = open_book()
    assert book.projects() == [ProjectRow("p1", "one", 1.5)]
    assert list(book.records("p1")) == [(1, b"a"), (2, b"b")]
    assert list(book.records("p1", after=1)) == [(2, b"b")]
    assert book.newest_records("p1", 3, 10) == [(2, b"b"), (1, b"a")]
    assert book.newest_records("p1", 3, 1) == [(2, b"b")]
    assert book.newest_records("p1", 2, 10) == [(1, b"a")]
    assert book.newest_records("p2", 3, 10) == []
    assert list(book.jobs()) == [JOB]
    assert book.job(7) == JOB
    assert book.job(8) is None
    assert book.answer("r", "me") == b"yes"
    assert book.answer("r", "somebody else") is None
    book.close()


def test_the_priority_of_a_project_is_kept_and_goes_with_it(open_book: Open) -> None:
    async def write(*changes: Change) -> list[ProjectRow]:
        book = open_book()
        await book.submit(unit(*changes))
        book.close()
        book = open_book()
        found = book.projects()
        book.close()
        return found

    plain, urgent = ProjectRow("p1", "one", 1.0), ProjectRow("p2", "two", 2.0, -7)
    assert asyncio.run(write(PutProject(plain), PutProject(urgent))) == [plain, urgent]
    urgent = replace(urgent, priority=30)
    assert asyncio.run(write(PutProject(urgent))) == [plain, urgent]
    assert asyncio.run(write(PutProject(replace(urgent, priority=0)))) == [plain, replace(urgent, priority=0)]
    again = replace(urgent, name="other")
    assert asyncio.run(write(PutProject(urgent), DropProject("p2"), PutProject(replace(again, priority=0)))) == [
        plain, replace(again, priority=0),
    ]  # fmt: skip


def test_a_removed_project_is_gone_but_its_job_numbers_are_not_given_again(open_book: Open) -> None:
    async def write() -> None:
        book = open_book()
        await book.submit(unit(PutProject(ProjectRow("p1", "one", 1.0)), AppendRecord("p1", 1, b"a"), PutJob(JOB)))
        await book.submit(unit(DropProject("p1")))
        book.close()

    asyncio.run(write())
    book = open_book()
    assert (book.projects(), list(book.records("p1")), list(book.jobs()), book.last_job()) == ([], [], [], 7)
    book.close()


def test_actions_run_in_order_once_durable_and_a_barrier_waits_for_all_before_it(open_book: Open) -> None:
    async def check() -> None:
        book, happened = open_book(), []
        first, second = unit(PutProject(ProjectRow("p1", "one", 1.0))), unit(PutJob(JOB))
        first.then(lambda: happened.append(("first", book.projects())))
        second.then(lambda: happened.append(("second", book.job(7))))
        book.submit(first)
        book.submit(second)
        assert happened == []
        await book.submit(Unit())
        assert happened == [("first", [ProjectRow("p1", "one", 1.0)]), ("second", JOB)]
        book.close()

    asyncio.run(check())


def test_an_answer_is_known_before_it_is_durable(open_book: Open) -> None:
    async def check() -> None:
        book = open_book()
        waiting = book.submit(unit(RememberAnswer("r", "me", b"yes", 5.0)))
        assert book.answer("r", "me") == b"yes"
        await waiting
        assert book.answer("r", "me") == b"yes"
        book.close()

    asyncio.run(check())


def test_a_full_disk_refuses_the_whole_group_and_all_that_follows_until_recovery(open_book: Open) -> None:
    async def check() -> None:
        book, refusals, happened = open_book(), [], []
        book.when_refused(refusals.append)
        await fill_the_disk(book)
        first, second = unit(PutProject(ProjectRow("p1", "one", 1.0))), unit(AppendRecord("p1", 1, b"x" * 100_000))
        second.then(lambda: happened.append("durable"))
        ends = await asyncio.gather(book.submit(first), book.submit(second), return_exceptions=True)
        assert [type(end) for end in ends] == [NoSpace, NoSpace]
        with pytest.raises(NoSpace):
            await book.submit(unit(PutJob(JOB)))
        with pytest.raises(Unavailable):
            await book.submit(Unit())
        assert len(refusals) == 1
        await book.recover()
        assert [row.id for row in book.projects() if row.id != "filler"] == []
        await book.submit(unit(PutProject(ProjectRow("p2", "two", 2.0))))
        assert [row.id for row in book.projects() if row.id != "filler"] == ["p2"]
        assert happened == []
        book.close()

    asyncio.run(check())


def test_the_same_record_number_twice_is_refused(open_book: Open) -> None:
    async def check() -> None:
        book = open_book()
        await book.submit(unit(AppendRecord("p1", 1, b"a")))
        with pytest.raises(Unavailable):
            await book.submit(unit(AppendRecord("p1", 1, b"b")))
        await book.recover()
        assert list(book.records("p1")) == [(1, b"a")]
        book.close()

    asyncio.run(check())


# --- the one on disk


def test_folder_and_file_are_made_by_the_first_change_and_are_private(tmp_path: Path) -> None:
    async def check() -> None:
        folder = tmp_path / "projects"
        book = SqliteBook(folder / "book.sqlite")
        await book.submit(Unit())
        assert not folder.exists()
        await book.submit(unit(PutJob(JOB)))
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        book.close()
        assert [path.name for path in folder.iterdir()] == ["book.sqlite"]

    asyncio.run(check())


@pytest.mark.parametrize("table", ["records", "jobs", "answers", "projects", "hosts", "borrowed"])
def test_a_flipped_bit_is_detected_and_not_served(tmp_path: Path, table: str) -> None:
    path = tmp_path / "book.sqlite"

    async def write() -> None:
        book = SqliteBook(path)
        await book.submit(unit(
            PutProject(ProjectRow("p1", "one", 1.0)), AppendRecord("p1", 1, b"the content"), PutJob(JOB),
            RememberAnswer("r", "me", b"the answer", 5.0), PutHost(HostRecord("n7", quarantined_at=1.0)),
            PutBorrowed(7, b"an attempt"),
        ))  # fmt: skip
        book.close()

    asyncio.run(write())
    column = {"projects": "created_at", "answers": "answer"}.get(table, "data")
    connection = apsw.Connection(str(path))
    value = connection.execute(f"SELECT {column} FROM {table}").get
    flipped = value + 1.0 if isinstance(value, float) else bytes([value[0] ^ 1]) + value[1:]
    connection.execute(f"UPDATE {table} SET {column} = ?", (flipped,))
    connection.close()
    book = SqliteBook(path)
    read = {
        "records": lambda: list(book.records("p1")),
        "jobs": lambda: list(book.jobs()),
        "answers": lambda: book.answer("r", "me"),
        "projects": book.projects,
        "hosts": book.hosts,
        "borrowed": book.borrowed,
    }[table]
    with pytest.raises(CorruptData, match="does not match its checksum"):
        read()
    book.close()


def test_answers_are_kept_for_seven_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_book, "NEWEST_KEPT", 1)

    async def check() -> None:
        book, day = SqliteBook(tmp_path / "book.sqlite"), 24 * 3600.0
        await book.submit(unit(RememberAnswer("old", "me", b"1", 1 * day)))
        await book.submit(unit(RememberAnswer("young", "me", b"2", 7.5 * day)))
        assert (book.answer("old", "me"), book.answer("young", "me")) == (b"1", b"2")
        await book.submit(unit(RememberAnswer("new", "me", b"3", 8.5 * day)))
        assert (book.answer("old", "me"), book.answer("young", "me")) == (None, b"2")
        book.close()

    asyncio.run(check())


def test_a_wall_clock_that_is_set_makes_no_request_a_new_one(tmp_path: Path) -> None:
    async def check() -> None:
        book, day = SqliteBook(tmp_path / "book.sqlite"), 24 * 3600.0
        await book.submit(unit(RememberAnswer("of this minute", "me", b"1", 1 * day)))
        await book.submit(unit(RememberAnswer("of the next one", "me", b"2", 1000 * day)))
        assert book.answer("of this minute", "me") == b"1"
        book.close()

    asyncio.run(check())


def test_an_old_sqlite_and_a_newer_schema_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"3\.51\.2 can lose data"):
        check_sqlite("3.51.2")
    path = tmp_path / "book.sqlite"

    async def write() -> None:
        book = SqliteBook(path)
        await book.submit(unit(PutJob(JOB)))
        book.close()

    asyncio.run(write())
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO schema_version (version) VALUES (99)")
    connection.close()
    with pytest.raises(SettingsError, match="newer Copernicus"):
        SqliteBook(path)


def test_what_nothing_keeps_is_known_after_a_restart(open_book: Open) -> None:
    async def write() -> None:
        book = open_book()
        assert book.retired() == {}
        await book.submit(unit(PutRetired("a", 1.5), PutRetired("b", 2.0)))
        await book.submit(unit(PutRetired("a", 3.0), DropRetired("b"), DropRetired("never there")))
        assert book.retired() == {"a": 3.0}
        book.close()

    asyncio.run(write())
    assert open_book().retired() == {"a": 3.0}


def test_what_is_held_against_hosts_is_known_after_a_restart(open_book: Open) -> None:
    bad = HostRecord("n7", (Setback("w", "silent", 1.5, (3,), (4,)),), 2.5, "it kills jobs", "ada")

    async def write() -> None:
        book = open_book()
        assert book.hosts() == []
        await book.submit(unit(PutHost(HostRecord("n7", quarantined_at=1.0)), PutHost(HostRecord("n8", bad.setbacks))))
        await book.submit(unit(PutHost(bad), PutHost(HostRecord("n8")), PutHost(HostRecord("never there"))))
        assert book.hosts() == [bad]
        book.close()

    asyncio.run(write())
    assert open_book().hosts() == [bad]


def test_what_is_borrowed_is_known_after_a_restart(open_book: Open) -> None:
    async def write() -> None:
        book = open_book()
        assert book.borrowed() == []
        await book.submit(unit(PutBorrowed(2**52 + 9, b"nine"), PutBorrowed(2**52, b"eight"), PutBorrowed(2**52 + 1, b"gone")))
        await book.submit(unit(PutBorrowed(2**52, b"zero"), DropBorrowed(2**52 + 1), DropBorrowed(5)))
        book.close()

    asyncio.run(write())
    assert open_book().borrowed() == [b"zero", b"nine"]


def test_an_epoch_begins_far_above_all_that_could_have_been_given(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"

    def begin() -> int:
        connection = open_database(path, MIGRATIONS)
        try:
            return begin_epoch(connection, 5.0)
        finally:
            connection.close()

    async def write() -> None:
        book = SqliteBook(path)
        assert book.attempt_floor() == 0
        await book.submit(unit(PutJob(replace(JOB, attempt=41))))
        book.close()

    asyncio.run(write())
    backup = path.read_bytes()
    first = begin()
    assert first >= 41 + GAP
    assert begin() >= first + GAP
    path.write_bytes(backup)
    assert abs(begin() - first) >= GAP, "the same backup, restored twice, never gives the same numbers"
    book = SqliteBook(path)
    assert book.attempt_floor() > GAP
    book.close()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE epochs SET floor = floor - 1")
    connection.close()
    with pytest.raises(CorruptData, match="does not match its checksum"):
        SqliteBook(path).attempt_floor()
