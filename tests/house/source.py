"""What the house tests read: the files of the checkout, and Python sources as trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "copernicus"
FOLDERS = ("src", "tests", "benchmarks", "docs", "scripts", ".ci")
TOP_FILES = ("*.md", "*.toml", "*.yaml", ".gitignore")


def files(*folders: str, pattern: str = "*") -> Iterator[Path]:
    """Yield the files below the `folders` of the checkout that match `pattern`, without what was built."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob(pattern)):
            if path.is_file() and not any(_is_built(part) for part in path.relative_to(ROOT / folder).parts):
                yield path


def _is_built(part: str) -> bool:
    """Say whether a folder (or file) was made by a tool: caches."""
    return part == "__pycache__" or part.startswith(".")


def tracked() -> Iterator[Path]:
    """Yield every file that a reader of the repository sees."""
    yield from files(*FOLDERS)
    for pattern in TOP_FILES:
        yield from sorted(ROOT.glob(pattern))


def sources(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield the name (relative to the checkout) and the tree of every Python file below the `folders`."""
    for path in files(*folders, pattern="*.py"):
        yield name(path), ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name(path: Path) -> str:
    """Return the path relative to the checkout, as the messages show it."""
    return path.relative_to(ROOT).as_posix()
