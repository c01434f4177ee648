"""Provenance: from a value back to what people gave, as it was then."""

from __future__ import annotations

import pytest
from tests.unit.office import Office, in_the_office

from copernicus.errors import UnknownPath, UsageError
from copernicus.model import edits as e
from copernicus.server.projects import provenance
from copernicus.wire import messages as m


async def walk(office: Office, path: str) -> dict[str, str]:
    """All steps: what each came from, in words."""
    reply = await office.projects.enquiries.provenance(m.ProvenanceRequest("p", path))
    return {step.path: words(reply, step) for step in reply.steps}


def words(reply: m.ProvenanceReply, step: m.Step) -> str:
    """A step in words: what made it, and the places that this was made from."""
    versions = []
    for one in step.versions:
        origin = one.origin
        who = origin.who or (f"job {origin.job}" if origin.job else f"{origin.kind} {origin.path}")
        versions.append(f"{one.text} {who}")
    sources = ", ".join(reply.steps[index].path for index in step.sources)
    return "; ".join(versions) + (f" < {sources}" if sources else "") + (" (stale)" if step.is_stale else "")


@in_the_office
async def test_a_value_is_followed_over_jobs_to_what_people_gave(office: Office) -> None:
    await office.make("work", "a", x=1)
    await office.make("two", "t")
    await office.apply("bob", e.Connect("a:out.z", "t:in.x"))
    await office.finish_all()
    assert await walk(office, "t:out.z") == {
        "t:two:out.z": "1 job 3 < t:one:out.z, t:two:in.y",
        "t:one:out.z": "100 job 2 < a:out.z",
        "t:two:in.y": "1 constant t",
        "a:out.z": "10 job 1 < a:in.x",
        "a:in.x": "1 ada",
    }


@in_the_office
async def test_the_inputs_are_those_that_it_was_made_from(office: Office) -> None:
    """What stands there now came later; the connection, too."""
    await office.make("work", "a", x=1, y=5)
    await office.finish("a")
    await office.set("a:in.x", 2, who="bob")
    assert await walk(office, "a:out.z") == {
        "a:out.z": "15 job 1 < a:in.x, a:in.y (stale)",
        "a:in.x": "1 ada",
        "a:in.y": "5 ada",
    }
    await office.make("work", "b", "eve", x=3)
    await office.apply("bob", e.Unset("a:in.y"))
    await office.apply("bob", e.Connect("b:out.z", "a:in.y"))
    assert await walk(office, "a:out.z") == {
        "a:out.z": "15 job 1 < a:in.x, a:in.y (stale)",
        "a:in.x": "1 ada",
        "a:in.y": "5 ada",
    }
    await office.finish_all()
    newer = await walk(office, "a:out.z")
    assert newer["a:out.z"].endswith("< a:in.x, b:out.z")
    assert (newer["a:in.x"], newer["b:in.x"]) == ("2 bob", "3 eve")


@in_the_office
async def test_a_result_that_was_there_leads_to_the_inputs_of_who_shows_it(office: Office) -> None:
    await office.make("same", "one", "ada", x=1)
    await office.finish("one")
    await office.make("same", "other", "bob", x=1)
    assert await walk(office, "other:out.z") == {"other:out.z": "2 job 1 < other:in.x", "other:in.x": "1 bob"}


@in_the_office
async def test_a_controllers_value_leads_to_what_it_saw(office: Office) -> None:
    await office.make("steer", "s", n=1, x=3)
    await office.finish_all()
    found = await walk(office, "s:out.total")
    assert found["s:out.total"] == "30 call s < s:in.n, s:in.x, s:job_0:out.z"
    assert found["s:job_0:out.z"].endswith(" < s:job_0:in.x")
    assert found["s:job_0:in.x"] == "3 call s < s:in.n, s:in.x"
    await office.set("s:in.x", 4, who="bob")
    assert (await walk(office, "s:job_0:in.x"))["s:in.x"] == "4 bob"


@in_the_office
async def test_what_was_kept_at_a_disconnection_leads_to_where_it_came_from(office: Office) -> None:
    await office.make("work", "a", x=1)
    await office.make("work", "b")
    await office.apply("ada", e.Connect("a:out.z", "b:in.x"))
    await office.finish_all()
    await office.apply("bob", e.Disconnect("b:in.x"))
    await office.set("a:in.x", 2)
    await office.finish_all()
    found = await walk(office, "b:out.z")
    assert found["b:in.x"] == " < a:out.z"
    assert (await walk(office, "b:in.x"))["b:in.x"] == "10 bob < a:out.z"
    assert found["a:out.z"] == "10 job 1 < a:in.x"
    assert found["a:in.x"] == "1 ada"


@in_the_office
async def test_arrays_lead_to_every_part(office: Office) -> None:
    await office.make("works", "w", x=[1, 2])
    await office.make("gather", "g")
    await office.apply("ada", e.Connect("w:out.z", "g:in.x"))
    await office.set("w:in.x[1]", 5, who="bob")
    await office.finish_all()
    found = await walk(office, "g:out.z")
    assert found["g:out.z"].endswith(" < w:work_0:out.z, w:work_1:out.z")
    assert found["w:work_1:out.z"].endswith(" < w:in.x[1]")
    assert found["w:in.x[1]"] == "5 bob"
    assert found["w:in.x[0]"] == "1 ada"
    whole = await office.projects.enquiries.provenance(m.ProvenanceRequest("p", "w:out.z"))
    assert whole.steps[0].path == "w:out.z"
    assert [whole.steps[index].path for index in whole.steps[0].sources] == ["w:work_0:out.z", "w:work_1:out.z"]


@in_the_office
async def test_wide_networks_are_followed_to_a_limit_which_is_told(office: Office) -> None:
    await office.make("works", "w", x=list(range(provenance.MOST_STEPS + 10)))
    await office.finish_all()
    reply = await office.projects.enquiries.provenance(m.ProvenanceRequest("p", "w:out.z"))
    assert provenance.MOST_STEPS - 5 < len(reply.steps) <= provenance.MOST_STEPS + 1
    assert reply.notes == [f"Only {provenance.MOST_STEPS} places are followed."]


@in_the_office
async def test_what_is_no_value_is_refused(office: Office) -> None:
    await office.make("work", "a", x=1)
    for path, kind in (
        ("a", UsageError),
        ("a:in", UsageError),
        ("", UsageError),
        ("b:in.x", UnknownPath),
        ("a:in.q", UnknownPath),
    ):
        with pytest.raises(kind):
            await walk(office, path)
