"""What a project has cost and what it holds, by instance at the top."""

from __future__ import annotations

from collections.abc import Iterable

from copernicus.dataflow.network import ROOT, Network
from copernicus.server.projects.holdings import Class, Held
from copernicus.wire import messages as m

ORDER: tuple[Class, ...] = ("inputs", "current", "checkpoints", "superseded")


def usage(network: Network, name: str, holds: Iterable[Held], present: set[str], uploads: int | None) -> m.UsageReply:
    """Sum up; `present` are the files whose content is there."""
    rows: dict[str, m.UsageRow] = {one.name: m.UsageRow(one.name) for one in network.children(network.instances[ROOT])}
    counts: dict[str, dict[str, int]] = {}
    tops: dict[int, str] = {}
    seen = set[str]()
    for held in sorted(holds, key=lambda held: ORDER.index(held.kind)):
        if held.file.blob in present and held.file.blob not in seen:
            seen.add(held.file.blob)
            classes = counts.setdefault(_top(network, held.instance, tops), {})
            classes[held.kind] = classes.get(held.kind, 0) + held.file.size
    times: dict[str, tuple[float, float]] = {}
    for evaluation in network.evaluations.values():
        if evaluation.core_s or evaluation.gpu_s:
            top = _top(network, evaluation.instance, tops)
            core_s, gpu_s = times.get(top, (0.0, 0.0))
            times[top] = core_s + evaluation.core_s, gpu_s + evaluation.gpu_s
    made = [
        m.UsageRow(top, *times.get(top, (0.0, 0.0)), _ordered(counts.get(top, {})))
        for top in dict.fromkeys([*rows, *counts, *times])
    ]
    total: dict[str, int] = {}
    for row in made:
        for kind, count in row.bytes.items():
            total[kind] = total.get(kind, 0) + count
    spent = sum(row.core_s for row in made), sum(row.gpu_s for row in made)
    return m.UsageReply(name, *spent, _ordered(total), made, uploads)


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
