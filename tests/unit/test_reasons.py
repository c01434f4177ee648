"""Why: each state says since when, by whom, and what to do; what was there already is said aloud."""

from __future__ import annotations

import pytest
from tests.unit.office import Office, in_the_office

from copernicus.dataflow.calls import ChildHold, ControllerAnswer, ControllerCall
from copernicus.errors import UnknownPath, UsageError
from copernicus.model import edits as e
from copernicus.wire import messages as m


async def why(office: Office, target: object) -> str:
    reply = await office.projects.enquiries.why(m.WhyRequest("p", str(target)))
    return "\n".join(reply.lines)


async def log(office: Office, target: object = "", **request: int) -> list[str]:
    reply = await office.projects.enquiries.log(m.LogRequest("p", str(target), **request))
    return [entry.title for entry in reply.entries]


@in_the_office
async def test_held_says_by_whom_and_since_when(office: Office) -> None:
    await office.apply("ada", e.MakeInstance("m::two", "t"))
    office.now += 130
    assert await why(office, "t") == (
        "t is held (for 2 min)\nIt has been held since it was made by ada 2 min ago (transaction 1).\n"
        "Let it run with: cpcc activate t"
    )
    await office.apply("ada", e.Activate("t"))
    await office.apply("bob", e.Deactivate("t"))
    office.now += 7200
    assert "t was deactivated by bob 2 h ago (transaction 3)." in await why(office, "t:one")
    assert (await why(office, "t:one")).startswith("t:one is held (for ")


@in_the_office
async def test_waiting_names_all_that_is_absent_and_who_is_to_give_it(office: Office) -> None:
    await office.make("work", "a")
    await office.make("steer", "s")
    await office.apply("ada", e.Connect("a:out.z", "s:in.x"))
    office.now += 5
    assert await why(office, "s") == (
        "s is waiting (for 5 s): in.n is absent\nin.n is absent\nin.x is absent (a: waiting, in.x is absent)"
    )
    assert await why(office, "s:in.x") == "s:in.x shows a:out.z.\ns:in.x is absent.\na is waiting (for 7 s): in.x is absent"


@in_the_office
async def test_stale_and_blocked_say_what_is_being_remade(office: Office) -> None:
    await office.make("work", "a", x=1)
    await office.make("work", "b")
    await office.apply("ada", e.Connect("a:out.z", "b:in.x"))
    first = await office.finish("a")
    second = await office.finish("b")
    await office.set("a:in.x", 2)
    said = await why(office, "a")
    assert "a is running (for 0 s): its job waits for a worker" in said
    assert f"Its output is stale: it came from job {first}, and its inputs have changed since." in said
    assert f"came from job {second}, and an input is being made anew by a." in await why(office, "b")
    assert "It is stale: a makes it anew (running" in await why(office, "b:in.x")
    await office.set("b:in.y", 1)
    blocked = next(job for job in office.jobs.open_jobs() if job.path == "b")
    told = await why(office, blocked.id)
    assert f"job {blocked.id} of b is blocked: an input is being made anew by a" in told
    assert "a is running (for" in told
    assert "waits for a worker" in told


@in_the_office
async def test_an_error_says_since_when_and_shows_the_last_lines(office: Office) -> None:
    await office.make("works", "w", x=[1, 2])
    job = await office.finish("w:work_0", "no such atom", "line one\nFatal error: 7")
    office.now += 61
    assert (await why(office, "w:work_0")).startswith("w:work_0 is error (for 1 min): no such atom")
    assert "w:work_0 is in error (for 1 min): no such atom" in await why(office, "w")
    assert "Fatal error: 7" in await why(office, job)
    assert any("failed" in line for line in await log(office, "w:work_0"))


@in_the_office
async def test_a_superseded_job_says_what_took_its_place(office: Office) -> None:
    await office.make("work", "a", x=1)
    old = office.queued("a").id
    await office.set("a:in.x", 2)
    new = office.queued("a").id
    office.now += 3
    said = await why(office, old)
    assert f"job {old} of a is cancelled" in said
    assert f"Superseded 3 s ago (transaction 4): its inputs mean other work. Now it is job {new}." in said
    await office.apply("bob", e.RemoveInstance("a"))
    assert "a was removed." in await why(office, new)


@in_the_office
async def test_a_retired_index_says_since_when(office: Office) -> None:
    await office.make("works", "w", x=[1, 2])
    await office.finish_all()
    await office.apply("bob", e.Unset("w:in.x[1]"))
    said = await why(office, "w:work_1")
    assert said.startswith("w:work_1 is held")
    assert "retired: w has only 1 index now" in said
    assert "(transaction 6) w has 1 index; it waits for more." in said


@in_the_office
async def test_a_controllers_words_and_what_it_holds(office: Office) -> None:
    def control(call: ControllerCall) -> ControllerAnswer:
        answer = before(call)
        answer.holds.append(ChildHold("job_0", "not needed yet"))
        return ControllerAnswer(starts=answer.starts, holds=answer.holds, note="half done", warning="it drifts")

    before = office.code.control
    office.code.control = control
    await office.make("steer", "s", n=1, x=3)
    said = await why(office, "s")
    assert "note: half done" in said
    assert "warning: it drifts" in said
    assert "The controller s has held it since 0 s ago" in await why(office, "s:job_0")


@in_the_office
async def test_what_was_there_already_is_said_by_the_answer_by_why_and_by_log(office: Office) -> None:
    await office.make("same", "one", "ada", x=1)
    office.now += 600
    joined = await office.apply(
        "bob", e.MakeInstance("m::same", "second"), e.SetValue("second:in.x", 1), e.Activate("second"), wait_s=1.0
    )
    assert joined.reused == ["second: it waits for the same work, which goes on for one"]
    assert "It waits for the same work, which goes on for one." in await why(office, "second")
    assert "second waits for the same work of one" in await log(office, "second")
    job = await office.finish("second")
    assert "It serves 2 instances: one, second." in await why(office, job)
    office.now += 600
    reply = await office.apply(
        "bob", e.MakeInstance("m::same", "third"), e.SetValue("third:in.x", 1), e.Activate("third"), wait_s=1.0
    )
    assert reply.reused == [f"third: the result stands that was made for one (job {job}, 10 min ago)"]
    assert f"The result stands that was made for one (job {job}, 10 min ago)." in await why(office, "third")
    assert f"third has its result at once of one (job {job})" in await log(office, "third")
    await office.set("one:in.x", 2)
    await office.finish("one")
    back = await office.apply("ada", e.SetValue("one:in.x", 1), wait_s=1.0)
    assert back.reused == [f"one: the result stands that was there already (job {job}, 10 min ago)"]
    assert f"The result stands that was there already (job {job}, 10 min ago)." in await why(office, "one")
    again = await office.apply("ada", e.SetValue("one:in.x", 3), wait_s=1.0)
    assert again.reused == []
    assert "was there already" not in await why(office, "one")


@in_the_office
async def test_a_pure_result_that_was_there_is_said_at_once_and_many_are_counted(office: Office) -> None:
    await office.make("add", "sum", a=1.0, b=2.0)
    await office.set("sum:in.a", 5.0)
    assert (await office.apply("ada", e.SetValue("sum:in.a", 1.0), wait_s=1.0)).reused == [
        "sum: the result stands that was there already (evaluation, 2 s ago)"
    ]
    await office.make("sames", "s", x=list(range(9)))
    await office.finish_all()
    reply = await office.apply(
        "ada", e.MakeInstance("m::sames", "t"), e.SetValue("t:in.x", list(range(9))), e.Activate("t"), wait_s=1.0
    )
    assert len(reply.reused) == 6
    assert reply.reused[-1] == "4 more results were there already."


@in_the_office
async def test_the_log_comes_in_parts(office: Office) -> None:
    await office.make("work", "a", x=1)
    await office.make("work", "b", x=1)
    for value in range(50):
        await office.set("a:in.y", value, who="bob")
    everything = await log(office)
    assert sum("by bob" in line for line in everything) == 50
    assert not any(line.startswith("a") for line in await log(office, "b"))
    reply = await office.projects.enquiries.log(m.LogRequest("p", "a", limit=10))
    assert len(reply.entries) >= 10
    assert reply.before
    titles = [entry.title for entry in reply.entries if entry.seq]
    while reply.before:
        reply = await office.projects.enquiries.log(m.LogRequest("p", "a", limit=10, before=reply.before))
        titles = [entry.title for entry in reply.entries] + titles
    whole = await office.projects.enquiries.log(m.LogRequest("p", "a"))
    assert titles == [entry.title for entry in whole.entries if entry.seq]
    for wrong in (-1, 10_001):
        with pytest.raises(UsageError, match="limit"):
            await log(office, limit=wrong)


@in_the_office
async def test_the_log_tells_of_connections_reruns_and_errors(office: Office) -> None:
    await office.make("work", "a", x=1)
    await office.make("work", "b")
    await office.apply("bob", e.Connect("a:out.z", "b:in.x"))
    await office.finish("a", "it broke")
    await office.apply("cat", e.ClearError("a"))
    await office.finish("a")
    await office.apply("cat", e.Disconnect("b:in.x"))
    told = "\n".join(await log(office))
    connections = ("b:in.x connected to a:out.z by bob", "b:in.x disconnected by cat")
    for words in (*connections, "a failed (job 1", "a is tried again", "a done (job 1"):
        assert words in told, told


@in_the_office
async def test_what_is_not_there_is_refused(office: Office) -> None:
    for target, words in (("nope", "no instance"), ("99", "no job 99"), ("", "needs the path")):
        with pytest.raises(UnknownPath, match=words):
            await why(office, target)
    await office.make("work", "a", x=1)
    with pytest.raises(UnknownPath, match="has no field"):
        await why(office, "a:in.q")
    with pytest.raises(UnknownPath, match="no instance"):
        await log(office, "nope")


@in_the_office
async def test_a_new_name_is_told_whatever_it_is_called_now(office: Office) -> None:
    await office.make("work", "a", x=1)
    await office.apply("ada", e.RenameInstance("a", "b"))
    assert "b got this name by ada" in await log(office, "b")
    await office.apply("bob", e.RenameInstance("b", "c"))
    titles = await log(office, "c")
    assert "c got the name b by ada" in titles
    assert "c got this name by bob" in titles
