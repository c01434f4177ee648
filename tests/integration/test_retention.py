"""What may be deleted, and nothing else: superseded results and old checkpoints in time, never what a person gave."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.integration.keeping_office import DAY_S, KeepingOffice, keeping

from copernicus.errors import NoSpace, Refused, UnknownPath, UsageError
from copernicus.model import edits as e
from copernicus.server.projects.retention import Candidate, Swept, choose
from copernicus.wire import messages as m


async def two_results(office: KeepingOffice) -> tuple[int, int]:
    """An instance `a` with a result for n=1 that is superseded by one for n=2."""
    await start(office)
    first = await office.bring("a", traj="one", note="note one")
    await office.set("a:in.n", 2)
    second = await office.bring("a", traj="two")
    return first, second


async def start(office: KeepingOffice) -> None:
    await office.apply("ada", e.MakeInstance("t::work", "a"), e.SetFile("a:in.conf", office.file("conf")), e.Activate("a"))


@keeping
async def test_a_superseded_result_goes_after_its_time_and_comes_back_by_work(office: KeepingOffice) -> None:
    first, _ = await two_results(office)
    await office.days(29)
    assert office.has("one")
    await office.days(2)
    assert not office.has("one")
    assert not office.has("note one")
    assert office.has("two")
    assert office.has("conf")
    # Going back to the key of before is no hit any more: its job is to be done again, under the same number.
    await office.set("a:in.n", 1)
    assert office.queued("a").id == first
    await office.restart()
    assert office.queued("a").id == first
    await office.bring("a", traj="one")
    assert office.has("one")
    assert office.job(first).attempt == 2
    await office.set("a:in.n", 2)
    assert [job.state for job in office.jobs.open_jobs()] == [], "the other result stands at once"


@keeping
async def test_what_a_person_gave_stays_in_every_version(office: KeepingOffice) -> None:
    await start(office)
    for content in ("second", "third", "fourth"):
        await office.setf("a:in.conf", content)
    await office.apply("ada", e.Unset("a:in.conf"))
    await office.apply("ada", e.RemoveInstance("a"))
    await office.days(400)
    await office.days(400)
    assert all(office.has(one) for one in ("conf", "second", "third", "fourth"))


@keeping
async def test_the_last_checkpoint_of_unfinished_work_stays_and_an_unwanted_one_goes(office: KeepingOffice) -> None:
    await start(office)
    number = await office.bring("a", checkpoint="half way")
    await office.days(100)
    assert office.has("half way")
    await office.set("a:in.n", 7)
    assert office.job(number).state == "cancelled"
    await office.days(29)
    assert office.has("half way")
    await office.days(2)
    assert not office.has("half way")
    assert office.job(number).checkpoint == ()
    # Going back begins the job from nothing, instead of from a file that is not there.
    await office.set("a:in.n", 1)
    assert office.queued("a").id == number
    await office.restart()
    assert office.queued("a").checkpoint == ()


@keeping
async def test_uploads_that_nobody_used_go_after_seven_days_and_live_longer_when_asked_for(office: KeepingOffice) -> None:
    office.file("never used")
    used = office.file("asked for")
    await office.days(5)
    office.folder.renew(used.blob)
    path = office.folder.path(used.blob)
    import os

    os.utime(path, (office.now, office.now))
    await office.days(3)
    assert not office.has("never used")
    assert office.has("asked for")
    await office.days(8)
    assert not office.has("asked for")


@keeping
async def test_a_removed_project_lets_its_files_go_unless_another_one_has_them(office: KeepingOffice) -> None:
    await two_results(office)
    await office.projects.start_project("q", "root")
    shared = office.file("conf")
    edits = [e.MakeInstance("t::work", "b"), e.SetFile("b:in.conf", shared)]
    await office.projects.apply(m.ApplyRequest("q", edits), "ada")
    await office.projects.remove_project("p", "root")
    await office.retention.sweep()
    assert office.has("two"), "a removal by mistake can be mended for a week, from an archive or by uploading nothing anew"
    await office.days(8)
    assert not office.has("two")
    assert not office.has("one")
    assert office.has("conf")


@keeping
async def test_referred_to_again_meanwhile_it_is_kept(office: KeepingOffice) -> None:
    await two_results(office)
    await office.retention.sweep()
    office.now += 31 * DAY_S
    await office.set("a:in.n", 1)
    assert await office.retention.sweep() == Swept()
    assert office.has("one")
    await office.set("a:in.n", 2)
    await office.days(29)
    assert office.has("one"), "its time begins anew"


@keeping
async def test_a_disk_that_refuses_deletes_nothing(office: KeepingOffice) -> None:
    await two_results(office)
    await office.retention.sweep()
    office.now += 31 * DAY_S
    office.book.fail_with = NoSpace("full")
    with pytest.raises(NoSpace):
        await office.retention.sweep()
    assert office.has("one"), "rows first, then files"
    await office.book.recover()
    office.jobs.load()
    office.projects.reopen()
    await office.settle()
    await office.retention.sweep()
    assert not office.has("one")


@keeping
async def test_a_crash_between_rows_and_files_loses_nothing_that_is_needed(office: KeepingOffice) -> None:
    await two_results(office)
    await office.retention.sweep()
    office.now += 31 * DAY_S
    office.folder.remove_doomed = lambda blobs: 0  # type: ignore[method-assign]
    await office.retention.sweep()
    office.folder.spare([blob for blob, _, _ in office.folder.entries()])  # a new process knows of no doom
    await office.restart()
    await office.set("a:in.n", 1)
    assert office.queued("a"), "what the log says is gone is made anew, though the file is there still"


@keeping
async def test_sent_again_while_it_is_being_deleted_it_is_there(office: KeepingOffice) -> None:
    file = office.file("twice")
    office.folder.doom([file.blob])
    assert not office.folder.has(file.blob)
    with pytest.raises(Refused, match="not on the server"):
        await office.projects.apply(
            m.ApplyRequest("p", [e.MakeInstance("t::work", "x"), e.SetFile("x:in.conf", file)]), "ada"
        )  # fmt: skip
    assert office.folder.append(file.blob, file.size, 0, [b"twice"]) == file.size
    assert office.folder.remove_doomed([file.blob]) == 0
    assert office.folder.has(file.blob)


def test_above_the_mark_the_oldest_results_go_before_their_time(tmp_path: Path) -> None:
    async def run() -> None:
        office = KeepingOffice(tmp_path / "blobs", high_water=1e-9)
        await office.come_up()
        await two_results(office)
        office.file("young upload")
        await office.retention.sweep()
        assert office.has("one"), "not what somebody may be about to use"
        office.now += 7200
        await office.retention.sweep()
        assert not office.has("one")
        assert office.has("two")
        assert office.has("young upload")
        await office.projects.close()

    asyncio.run(run())


def test_the_choice_of_what_goes() -> None:
    now = 1000 * DAY_S
    old = [Candidate(f"r{n}", 100, now - n * DAY_S, True) for n in range(40)]
    uploads = [Candidate(f"u{n}", 100, now - n * DAY_S, False) for n in range(40)]

    def chosen(retention_days: float, surplus: int) -> list[str]:
        return [one.blob for one in choose([*old, *uploads], now, retention_days * DAY_S, surplus)]

    assert set(chosen(30, 0)) == {f"r{n}" for n in range(31, 40)} | {f"u{n}" for n in range(8, 40)}
    assert chosen(30, 0) == sorted(chosen(30, 0), key=lambda one: (-int(one[1:]), one))
    assert {one for one in chosen(0, 0) if one.startswith("r")} == set(), "0 days: never by age"
    assert [one for one in chosen(0, 350) if one.startswith("r")] == [], "uploads freed enough"
    assert [one for one in chosen(0, 7000) if one.startswith("r")] == [f"r{n}" for n in range(39, 1, -1)]
    assert "r0" not in chosen(30, 10**9), "not what is younger than an hour"


# --- usage and purge -------------------------------------------------------------------------------------------------


@keeping
async def test_usage_says_what_is_of_which_class(office: KeepingOffice) -> None:
    await two_results(office)
    await office.setf("a:in.conf", "a longer conf")
    await office.bring("a", checkpoint="half")
    office.file("an upload")
    reply = await office.keeping.usage(m.UsageRequest("p"), True)
    assert reply.bytes == {"inputs": len("conf" + "a longer conf"), "current": 3, "checkpoints": 4, "superseded": 11}
    (row,) = reply.instances
    assert (row.path, row.core_s, row.gpu_s, row.bytes) == ("a", 60.0, 15.0, reply.bytes), "what was interrupted counts, too"
    assert reply.sites == [m.SiteRow("", 3, 60.0, 15.0)]
    assert reply.uploads_bytes == len("an upload")
    assert (await office.keeping.usage(m.UsageRequest("p"), False)).uploads_bytes is None


async def purge(office: KeepingOffice, path: str, **flags: bool) -> m.PurgeReply:
    return await office.keeping.purge(m.PurgeRequest("p", path, **flags), "ada", "ada")


@keeping
async def test_purge_loses_old_versions_and_keeps_what_stands(office: KeepingOffice) -> None:
    await two_results(office)
    await office.setf("a:in.conf", "conf two")
    await office.bring("a", traj="three")
    asked = await purge(office, "a:in.conf", is_check=True)
    assert [(one.path, one.size) for one in asked.lost] == [("a:in.conf", 4)]
    assert office.has("conf")
    assert await purge(office, "a:in.conf") == asked
    assert not office.has("conf")
    assert office.has("conf two")
    assert office.has("two"), "an input was meant, not the outputs"
    await office.restart()
    await office.setf("a:in.conf", "conf three")
    await office.bring("a", traj="four")
    await office.days(40)
    assert office.has("conf two"), "what stood when older versions were purged is a version like any other since"
    assert (await purge(office, "a:in.conf", is_check=True)).lost[0].size == len("conf two")


@keeping
async def test_purge_of_an_instance_takes_results_as_well(office: KeepingOffice) -> None:
    await two_results(office)
    assert {one.path for one in (await purge(office, "a")).lost} == {"a:out"}
    assert not office.has("one")
    assert office.has("two")
    await office.set("a:in.n", 1)
    assert office.queued("a")


@keeping
async def test_purge_of_what_stands(office: KeepingOffice) -> None:
    await two_results(office)
    with pytest.raises(Refused, match="no input"):
        await purge(office, "a:out.traj", is_present=True)
    reply = await purge(office, "a:in.conf", is_present=True)
    assert [one.size for one in reply.lost] == [4]
    assert not office.has("conf")
    assert (await office.projects.apply(m.ApplyRequest("p", [e.SetValue("a:in.n", 3)]), "ada")).seq
    with pytest.raises(Refused, match="No file stands"):
        await purge(office, "a:in.conf", is_present=True)


@keeping
async def test_purge_refuses_what_a_job_is_about_to_use(office: KeepingOffice) -> None:
    await start(office)
    with pytest.raises(Refused, match="in use by job"):
        await purge(office, "a:in.conf", is_present=True)
    assert office.has("conf")
    assert (await purge(office, "a:in.conf")).lost == []


@keeping
async def test_purge_keeps_what_stands_elsewhere(office: KeepingOffice) -> None:
    await start(office)
    await office.bring("a", traj="one")
    await office.apply("ada", e.MakeInstance("t::work", "b"), e.SetFile("b:in.conf", office.file("conf")))
    await office.setf("a:in.conf", "conf two")
    reply = await purge(office, "a:in.conf")
    assert (reply.lost, reply.kept, reply.bytes) == ([], 1, 0)
    assert office.has("conf")


@keeping
async def test_purge_of_what_is_not_there(office: KeepingOffice) -> None:
    await start(office)
    for path, error in (("none", UnknownPath), ("a:in.none", UnknownPath), ("a:in.conf[+]", UnknownPath), ("", UsageError)):
        with pytest.raises(error):
            await purge(office, path)
