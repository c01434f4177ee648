"""YAML as nodes with their lines: nothing is built from tags, nothing stands for something else, nothing is guessed."""

from __future__ import annotations

from typing import NamedTuple

import yaml

from copernicus.errors import TooLarge, UsageError
from copernicus.server.projects.workflows.declarations import MOST_DEPTH, Raw, Spot, Word

_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Node(NamedTuple):
    """What stands at a line: a `Word`, a list of nodes, or a dict of nodes by key (the line of an entry is its key's)."""

    line: int
    value: Word | list[Node] | dict[str, Node]

    @property
    def raw(self) -> Raw:
        """The value without its lines."""
        if isinstance(self.value, list):
            return [node.raw for node in self.value]
        if isinstance(self.value, dict):
            return {key: node.raw for key, node in self.value.items()}
        return self.value


class _Open:
    """A list or mapping that has begun; `key` is the key whose value comes next."""

    __slots__ = ("key", "key_line", "node")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.key: str | None = None
        self.key_line = 0


def read_nodes(file: str, data: bytes) -> Node | None:
    """Return the one document of a YAML file (None: it is empty).

    Raises `UsageError` with the line for what is no YAML, and for anchors, aliases, tags, keys that are given twice or
    are no words, and further documents.
    """
    composer = _Composer(file)
    try:
        for event in yaml.parse(data, Loader=_LOADER):
            composer.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        raise UsageError(
            f"{file}{line}: this is not YAML ({problem}).", "A text with ': ' or '#' in it needs quotes."
        ) from None
    return composer.root


class _Composer:
    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.stack: list[_Open] = []
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        """Put one event of the parser in its place."""
        mark = event.start_mark
        line = mark.line + 1 if mark is not None else 0
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise UsageError(f"{self._spot(line)}: a second document begins; a workflow file has one.")
            case yaml.AliasEvent():
                raise UsageError(f"{self._spot(line)}: the alias *{event.anchor} is refused.", "Write out what it stands for.")
            case yaml.ScalarEvent():
                self._check(event, line)
                self._place(Node(line, Word(event.value, not event.style)))
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._check(event, line)
                if len(self.stack) >= MOST_DEPTH:
                    raise TooLarge(f"{self._spot(line)}: lists and mappings nest deeper than {MOST_DEPTH} levels.")
                if self.stack and isinstance(self.stack[-1].node.value, dict) and self.stack[-1].key is None:
                    raise UsageError(f"{self._spot(line)}: a key must be a word.")
                is_list = isinstance(event, yaml.SequenceStartEvent)
                node = Node(line, [] if is_list else {})
                self.stack.append(_Open(self._place(node)))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self.stack.pop()

    def _spot(self, line: int) -> Spot:
        return Spot(self.file, line)

    def _check(self, event: yaml.NodeEvent, line: int) -> None:
        if event.anchor is not None:
            raise UsageError(f"{self._spot(line)}: the anchor &{event.anchor} is refused.", "Write out what it stands for.")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise UsageError(f"{self._spot(line)}: the tag {tag} is refused.", "Leave it out: the place decides the type.")

    def _place(self, node: Node) -> Node:
        if not self.stack:
            self.root = node
            return node
        around = self.stack[-1]
        if isinstance(around.node.value, list):
            around.node.value.append(node)
        elif isinstance(around.node.value, dict):
            if around.key is None:
                key = node.value
                if isinstance(key, Word):
                    if key.text in around.node.value:
                        raise UsageError(f"{self._spot(node.line)}: the key {key.text!r} stands there twice.")
                    around.key, around.key_line = key.text, node.line
                return node
            node = node._replace(line=around.key_line)
            around.node.value[around.key] = node
            around.key = None
        return node
