"""What jobs have cost, by site."""

from __future__ import annotations

from tests.unit.leasing import Rig, report, scenario

from copernicus.model.jobs import Execution
from copernicus.server.storage.costs import Cost


@scenario
async def test_what_a_job_has_cost_counts_every_attempt_at_its_site_whatever_came_of_it(rig: Rig) -> None:
    (job,) = await rig.want("a")
    for site, outcome in (("lab", "interrupted"), ("cloud", "retry"), ("lab", "interrupted")):
        rig.announce("w", site=site)
        (leased,) = (await rig.exchange("w")).jobs
        await rig.exchange("w", report(leased, outcome, execution=Execution(bytes_in=3)), cores=0)
    expected = [(job, 1, (Cost("lab", 2, 4.0, 0.0, 6, 0), Cost("cloud", 1, 2.0, 0.0, 3, 0)))]
    assert list(rig.dispatch.jobs.costs("p")) == expected
    await rig.change(rig.dispatch.jobs.supersede, "p", "a")
    assert rig.state(job) == "cancelled"
    rig.restart()
    assert list(rig.dispatch.jobs.costs("p")) == expected
