"""What a project has cost and what it holds, by instance at the top."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from copernicus.dataflow.network import ROOT, Network
from copernicus.server.projects.holdings import Class, Held
from copernicus.server.storage.costs import Cost, added
from copernicus.wire import messages as m

ORDER: tuple[Class, ...] = ("inputs", "current", "checkpoints", "superseded")


def usage(
    network: Network, name: str, holds: Iterable[Held], present: set[str], uploads: int | None,
    jobs: Iterable[tuple[int, int, tuple[Cost, ...]]] = (),
) -> m.UsageReply:  # fmt: skip
    """Sum up; `present` are the files whose content is there, `jobs` number, instance and costs of each job."""
    rows: dict[str, m.UsageRow] = {one.name: m.UsageRow(one.name) for one in network.children(network.instances[ROOT])}
    counts: dict[str, dict[str, int]] = {}
    tops: dict[int, str] = {}
    seen = set[str]()
    for held in sorted(holds, key=lambda held: ORDER.index(held.kind)):
        if held.file.blob in present and held.file.blob not in seen:
            seen.add(held.file.blob)
            classes = counts.setdefault(_top(network, held.instance, tops), {})
            classes[held.kind] = classes.get(held.kind, 0) + held.file.size
    times, sites = _spent(network, jobs, tops)
    made = [
        m.UsageRow(top, *times.get(top, (0.0, 0.0)), _ordered(counts.get(top, {})))
        for top in dict.fromkeys([*rows, *counts, *times])
    ]
    total: dict[str, int] = {}
    for row in made:
        for kind, count in row.bytes.items():
            total[kind] = total.get(kind, 0) + count
    spent = sum(row.core_s for row in made), sum(row.gpu_s for row in made)
    return m.UsageReply(name, *spent, _ordered(total), made, uploads, sites)


def _spent(
    network: Network, jobs: Iterable[tuple[int, int, tuple[Cost, ...]]], tops: dict[int, str]
) -> tuple[dict[str, tuple[float, float]], list[m.SiteRow]]:
    """Core- and GPU-seconds by instance at the top, and costs by site, of all attempts that have ended.

    Of an evaluation whose job has no record here, only the log knows what it cost.
    """
    spent, known = list[tuple[int, Cost]](), set[int]()
    for number, instance, costs in jobs:
        known.add(number)
        spent += [(instance, cost) for cost in costs]
    for evaluation in network.evaluations.values():
        if evaluation.job not in known and (evaluation.core_s or evaluation.gpu_s):
            spent.append((evaluation.instance, Cost(evaluation.site, 1, evaluation.core_s, evaluation.gpu_s)))
    times: dict[str, tuple[float, float]] = {}
    sites: dict[str, Cost] = {}
    for instance, cost in spent:
        top = _top(network, instance, tops)
        core_s, gpu_s = times.get(top, (0.0, 0.0))
        times[top] = core_s + cost.core_s, gpu_s + cost.gpu_s
        sites[cost.site] = added(sites[cost.site], cost) if cost.site in sites else cost
    rows = [m.SiteRow(*msgspec.structs.astuple(cost)) for _, cost in sorted(sites.items())]
    return times, rows


def _top(network: Network, id: int, known: dict[int, str]) -> str:
    """The name of the instance at the top that an instance is in, "" when it was removed."""
    if id not in known:
        instance = network.instances.get(id)
        while instance is not None and instance.parent != ROOT and instance.id != ROOT:
            instance = network.instances.get(instance.parent)
        known[id] = instance.name if instance is not None else ""
    return known[id]


def _ordered(counts: dict[str, int]) -> dict[str, int]:
    return {kind: counts[kind] for kind in ORDER if kind in counts}
