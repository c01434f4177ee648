"""Graphs of instances as pictures: SVG, laid out in layers from left to right, without another program."""

from __future__ import annotations

from collections import defaultdict
from html import escape

from copernicus.client.output.graph import BORDER, COLOURS, ends, layers
from copernicus.wire import messages as m

HEIGHT, GAP_X, GAP_Y, MARGIN = 44, 90, 22, 20
CHARACTER, PADDING, LEAST_WIDTH = 7.2, 20, 90
_STYLE = "text{font:12px sans-serif} .f{fill:#555;font-size:10px} path{fill:none;stroke:#555} rect{stroke:#555}"
_HEAD = (
    '<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L10 5L0 10z" style="fill:#555"/></marker></defs>'
)


class _Box:
    """A rectangle with the names of an instance and its function."""

    def __init__(self, node: m.GraphNode, x: float, y: float, width: float) -> None:
        self.node, self.x, self.y, self.width = node, x, y, width

    def shape(self) -> str:
        """The rectangle with its two lines, and a title for the pointer."""
        node, middle = self.node, self.x + self.width / 2
        return (
            f"<g><title>{escape(f'{node.path}: {node.state}')}</title>"
            f'<rect x="{self.x:.0f}" y="{self.y:.0f}" width="{self.width:.0f}" height="{HEIGHT}" rx="5" '
            f'fill="{COLOURS.get(node.state, "white")}"/>'
            f'<text x="{middle:.0f}" y="{self.y + 19:.0f}" text-anchor="middle">{escape(node.name)}</text>'
            f'<text class="f" x="{middle:.0f}" y="{self.y + 35:.0f}" text-anchor="middle">{escape(node.function)}</text></g>'
        )


def svg(reply: m.GraphReply) -> str:
    """Return the graph as SVG; boxes have the colours of their states, arrows say on pointing what they carry."""
    boxes, x = {}, float(MARGIN)
    for layer in _ordered(reply):
        width = max(LEAST_WIDTH, *(CHARACTER * max(len(node.name), len(node.function)) + PADDING for node in layer))
        for row, node in enumerate(layer):
            boxes[node.path] = _Box(node, x, MARGIN + row * (HEIGHT + GAP_Y), width)
        x += width + GAP_X
    width = max(x - GAP_X + MARGIN, 2 * MARGIN)
    height = max((box.y + HEIGHT for box in boxes.values()), default=0.0) + MARGIN
    carried: dict[tuple[str, str], list[str]] = defaultdict(list)
    for edge in reply.edges:
        carried[ends(reply, edge)].append(f"{edge.source} → {edge.destination}")
    arrows = [
        _arrow(boxes[source], boxes[destination], what)
        for (source, destination), what in carried.items()
        if source != BORDER and destination != BORDER
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<style>{_STYLE}</style>{_HEAD}",
            *arrows,
            *(box.shape() for box in boxes.values()),
            "</svg>\n",
        ]
    )


def _ordered(reply: m.GraphReply) -> list[list[m.GraphNode]]:
    """The layers, each ordered by where what feeds its instances stands (so that few arrows cross)."""
    feeds: dict[str, list[str]] = defaultdict(list)
    for edge in reply.edges:
        source, destination = ends(reply, edge)
        feeds[destination].append(source)
    row: dict[str, float] = {}
    found: list[list[m.GraphNode]] = []
    for layer in layers(reply):
        places = {node.path: [row[one] for one in feeds[node.path] if one in row] for node in layer}
        key = {path: sum(above) / len(above) if above else float("inf") for path, above in places.items()}
        ordered = sorted(layer, key=lambda node: key[node.path]) if found else layer
        row |= {node.path: float(position) for position, node in enumerate(ordered)}
        found.append(ordered)
    return found


def _arrow(source: _Box, destination: _Box, carried: list[str]) -> str:
    begin_x, begin_y = source.x + source.width, source.y + HEIGHT / 2
    end_x, end_y = destination.x, destination.y + HEIGHT / 2
    bend = max(30.0, abs(end_x - begin_x) / 2)
    begin, end = f"{begin_x:.0f} {begin_y:.0f}", f"{end_x:.0f} {end_y:.0f}"
    curve = f"M{begin}C{begin_x + bend:.0f} {begin_y:.0f} {end_x - bend:.0f} {end_y:.0f} {end}"
    title = escape("\n".join(carried))
    return f'<g><title>{title}</title><path d="{curve}" marker-end="url(#a)"/></g>'
