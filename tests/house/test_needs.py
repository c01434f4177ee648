"""Needs: a unit test needs nothing, so it touches no socket, disk, process or sleep."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from tests.house.source import sources

OUTSIDE = {"socket", "ssl", "subprocess", "multiprocessing", "threading", "http", "urllib", "aiohttp", "apsw", "sqlite3",
           "tempfile", "shutil", "signal", "select"}  # fmt: skip
FIXTURES = {"tmp_path", "tmp_path_factory", "tmpdir"}
DISK = {"open", "write_text", "write_bytes", "read_text", "read_bytes", "mkdir", "sleep"}


def needs(tree: ast.Module) -> Iterator[str]:
    """Yield what a test file asks of the machine."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in OUTSIDE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in OUTSIDE:
            yield node.module or ""
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (argument.arg for argument in node.args.args if argument.arg in FIXTURES)
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            gives_way = called == "sleep" and len(node.args) == 1 and getattr(node.args[0], "value", None) == 0
            if called in DISK and not gives_way:
                yield f"{called}()"


def test_unit_tests_need_nothing() -> None:
    found = {file: asked for file, tree in sources("tests/unit") if (asked := sorted(set(needs(tree))))}
    assert not found, f"these belong into tests/integration: {found}"


@pytest.mark.parametrize(
    "line",
    ["import socket", "from http import client", "def test_x(tmp_path): ...", "time.sleep(1)", "open('x')", "p.write_text('')"],
)
def test_a_need_is_noticed(line: str) -> None:
    assert list(needs(ast.parse(line)))


def test_giving_way_to_other_tasks_is_no_sleep() -> None:
    assert not list(needs(ast.parse("async def f():\n    await asyncio.sleep(0)")))
