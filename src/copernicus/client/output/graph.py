"""Graphs of instances for people: as text, and in the language of Graphviz."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from copernicus.client.output import text
from copernicus.wire import messages as m

BORDER = ""
"""Stands for what is around, as the end of a connection."""
COLOURS = {"error": "#f4b6b6", "running": "#bfe3bf", "waiting": "#f3e3a8", "held": "#bfdfe8", "idle": "#e6e6e6"}


def ends(reply: m.GraphReply, edge: m.GraphEdge) -> tuple[str, str]:
    """Return the paths of the instances at both ends of a connection, `BORDER` for what is around."""
    source, destination = edge.source.rpartition(":")[0], edge.destination.rpartition(":")[0]
    return BORDER if edge.is_from_border else source, BORDER if edge.is_to_border else destination


def layers(reply: m.GraphReply) -> list[list[m.GraphNode]]:
    """Return the instances in layers: each behind all that feed it, as far as there are no circles."""
    feeds: dict[str, set[str]] = defaultdict(set)
    for edge in reply.edges:
        source, destination = ends(reply, edge)
        if source and destination and source != destination:
            feeds[destination].add(source)
    depth: dict[str, int] = {}
    left = [node.path for node in reply.nodes]
    while left:
        ready = [path for path in left if feeds[path] <= depth.keys()] or left[:1]  # a circle is cut at its first
        for path in ready:
            depth[path] = max((depth[one] + 1 for one in feeds[path] if one in depth), default=0)
        left = [path for path in left if path not in depth]
    found: list[list[m.GraphNode]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in reply.nodes:
        found[depth[node.path]].append(node)
    return found


def lines(reply: m.GraphReply) -> Iterator[str]:
    """Yield the graph as text: the instances, those that feed others first, each with what it gives to whom."""
    if not reply.nodes:
        yield f"There are no instances in {reply.path}." if reply.path else "There are no instances."
    outgoing: dict[str, list[m.GraphEdge]] = defaultdict(list)
    for edge in reply.edges:
        outgoing[ends(reply, edge)[0]].append(edge)
    if outgoing[BORDER]:
        yield f"{reply.path} (inputs)"
        yield from map(_arrow, outgoing[BORDER])
    for layer in layers(reply):
        for node in layer:
            inside = f", {node.inside} inside" if node.inside else ""
            yield f"{text.clean(node.name)}  {node.function}  {text.paint(node.state)}{inside}"
            yield from map(_arrow, outgoing[node.path])
    if reply.total > len(reply.nodes):
        yield f"… and {reply.total - len(reply.nodes)} more instances."


def _arrow(edge: m.GraphEdge) -> str:
    source = edge.source.rpartition(":")[2]
    return f"    {source} → {edge.destination}"


def dot(reply: m.GraphReply) -> str:
    """Return the graph in the language of Graphviz."""
    rows = ["digraph copernicus {", "  rankdir=LR; node [shape=box, style=filled, fontname=sans-serif];"]
    for node in reply.nodes:
        label = f"{node.name}\n{node.function}"
        rows.append(f"  {_quoted(node.path)} [label={_quoted(label)}, fillcolor={_quoted(COLOURS.get(node.state, 'white'))}];")
    for name, is_there in (("inputs", _has_border(reply, 0)), ("outputs", _has_border(reply, 1))):
        if is_there:
            rows.append(f"  {_quoted(f' {name}')} [label={_quoted(f'{reply.path} {name}')}, shape=plaintext, style=solid];")
    for edge in reply.edges:
        source, destination = ends(reply, edge)
        label = f"{edge.source.rpartition('.')[2]} → {edge.destination.rpartition('.')[2]}"
        rows.append(f"  {_quoted(source or ' inputs')} -> {_quoted(destination or ' outputs')} [label={_quoted(label)}];")
    return "\n".join([*rows, "}"]) + "\n"


def network_dot(reply: m.NetworkReply) -> str:
    """Return the network of servers in the language of Graphviz; a link that does not stand is dashed."""
    rows = ["graph {", "  node [shape=box, style=filled, fillcolor=white];"]
    for place, node in enumerate(reply.nodes):
        colour = ', fillcolor="#bfe3bf"' if place == 0 else ""
        name = text.clean(node.hostname) + "\n" + node.id[:16]
        rows.append(f"  {_quoted(node.id)} [label={_quoted(name)}{colour}];")
    for edge in reply.edges:
        style = "" if edge.is_connected else " [style=dashed]"
        rows.append(f"  {_quoted(edge.one)} -- {_quoted(edge.other)}{style};")
    return "\n".join([*rows, "}"]) + "\n"


def _has_border(reply: m.GraphReply, end: int) -> bool:
    return any(ends(reply, edge)[end] == BORDER for edge in reply.edges)


def _quoted(words: str) -> str:
    return json.dumps(words, ensure_ascii=False)
