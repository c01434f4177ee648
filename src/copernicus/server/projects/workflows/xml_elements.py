"""XML as elements with their lines: no entities, no external references, nothing that could grow beyond the file."""

from __future__ import annotations

from xml.parsers import expat

from copernicus.errors import TooLarge, UsageError
from copernicus.server.projects.workflows.declarations import MOST_DEPTH, Spot


class Element:
    """One element: its attributes, its children, and the text directly inside of it."""

    __slots__ = ("attributes", "children", "spot", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str], spot: Spot) -> None:
        self.tag, self.attributes, self.spot = tag, attributes, spot
        self.children: list[Element] = []
        self.text = ""


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.stack: list[Element] = []
        self.root: Element | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.EntityDeclHandler = self.entity
        self.parser.ExternalEntityRefHandler = self.entity

    def spot(self, element: str = "") -> Spot:
        return Spot(self.file, self.parser.CurrentLineNumber, element)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes, self.spot(f"<{tag}>"))
        if len(self.stack) >= MOST_DEPTH:
            raise TooLarge(f"{element.spot}: elements nest deeper than {MOST_DEPTH} levels.")
        if self.stack:
            self.stack[-1].children.append(element)
        else:
            self.root = element
        self.stack.append(element)

    def end(self, tag: str) -> None:
        self.stack.pop()

    def characters(self, text: str) -> None:
        if self.stack:
            self.stack[-1].text += text

    def doctype(self, name: str, system: str | None, public: str | None, has_subset: int) -> None:
        if system or public or has_subset:
            self.entity()

    def entity(self, *_: object) -> int:
        raise UsageError(
            f"{self.spot('<!DOCTYPE>')}: entities and external references are refused.", "Write out what they stand for."
        )


def read_elements(file: str, data: bytes) -> Element:
    """Return the root element; raise `UsageError` with the line for what is no XML, or refers to anything else."""
    builder = _Builder(file)
    try:
        builder.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise UsageError(
            f"{file}, line {error.lineno}: this is not well-formed XML ({expat.ErrorString(error.code)})."
        ) from None
    except (LookupError, ValueError) as error:
        raise UsageError(f"{builder.spot()}: this XML cannot be read ({error}).", "Save it as UTF-8.") from None
    if builder.root is None:
        raise UsageError(f"{file} has no element.")
    return builder.root
