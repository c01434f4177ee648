"""The priority of a project: added to that of its jobs, at once."""

from __future__ import annotations

from tests.unit.leasing import Rig, scenario

from copernicus.model.jobs import Resources
from copernicus.server.storage.abc import ProjectRow, PutProject, Unit


@scenario
async def test_the_priority_of_a_project_counts_at_once_and_after_a_restart(rig: Rig) -> None:
    (mine,) = await rig.want("a", priority=5)
    (other,) = await rig.want("b", project="q")
    assert [row.job for row in rig.dispatch.jobs.rows()] == [mine, other]
    rig.dispatch.jobs.prioritize("q", 6)
    assert [(row.job, row.priority) for row in rig.dispatch.jobs.rows()] == [(other, 6), (mine, 5)]
    unit = Unit()
    unit.add(PutProject(ProjectRow("q", "other", 0.0, 6)))
    await rig.book.submit(unit)
    rig.restart()
    assert [job.job for job in (await rig.lease(cores=1))][:1] == [other]


@scenario
async def test_a_project_that_goes_first_passes_a_wide_job_that_gathers_cores(rig: Rig) -> None:
    await passes(rig, "q", 1)


@scenario
async def test_a_wide_job_that_gathers_cores_is_passed_when_its_project_goes_behind(rig: Rig) -> None:
    await passes(rig, "p", -1)


async def passes(rig: Rig, project: str, priority: int) -> None:
    await rig.want("busy", resources=Resources(cores_min=3, cores_max=3))
    await rig.lease("w", cores=4)
    (wide,) = await rig.want("wide", resources=Resources(cores_min=4, cores_max=4))
    assert (await rig.exchange("w", cores=1)).jobs == []
    (narrow,) = await rig.want("narrow", project="q")
    assert (await rig.exchange("w", cores=1)).jobs == [], "it would hold up the wide one"
    rig.dispatch.jobs.prioritize(project, priority)
    assert f"reserved for job {wide}" not in " ".join(rig.dispatch.jobs.explain(narrow))
    assert [job.job for job in (await rig.exchange("w", cores=1)).jobs] == [narrow]
