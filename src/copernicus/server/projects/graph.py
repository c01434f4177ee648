"""How the instances inside of one hang together: nodes and connections of one level."""

from __future__ import annotations

from collections.abc import Iterator

from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.network import ROOT, Instance, Network
from copernicus.dataflow.paths import parse_path, show_path
from copernicus.dataflow.status import is_retired
from copernicus.errors import UsageError
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs
from copernicus.server.projects.states import States
from copernicus.wire import messages as m

MOST_NODES = 2_000


def graph(project: LiveProject, jobs: Jobs, text: str) -> m.GraphReply:
    """Return the instances directly inside of the path `text` with their connections; raise `UnknownPath`."""
    network, path = project.network, parse_path(text)
    if path.side:
        raise UsageError(f"{text!r} is a place, and only instances have a graph.", "Name an instance, or nothing.")
    around = find_instance(network, path.names)
    children = [one for one in network.children(around) if not is_retired(network, one)]
    shown = children[:MOST_NODES]
    states = States(network, project.row.id, jobs)
    nodes = [
        m.GraphNode(network.path_of(one.id), one.name, one.function.name, one.function.kind, states.state_of(one)[0],
                    len(one.children))
        for one in shown
    ]  # fmt: skip
    inside = {one.id for one in shown}
    edges = [edge for one in shown for edge in _edges_to(network, one, around, inside)]
    if around.id != ROOT:
        edges += [edge for edge in _edges_to(network, around, around, inside) if edge.is_to_border]
    return m.GraphReply(str(path), nodes, edges, len(children))


def _edges_to(network: Network, instance: Instance, around: Instance, inside: set[int]) -> Iterator[m.GraphEdge]:
    """The connections that end at one instance and begin inside the same, or at its border."""
    for side, links in instance.links.items():
        if (instance is around) != (side == "out"):
            continue  # of what is around, only its outputs are fed from inside
        for members, source in links.items():
            is_border = source.instance == around.id
            if not is_border and source.instance not in inside:
                continue
            yield m.GraphEdge(
                show_path(network.path_of(source.instance), source.side, source.path),
                show_path(network.path_of(instance.id), side, members),
                is_border,
                instance is around,
            )
