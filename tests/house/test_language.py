"""Language: nothing that runs data as code, a docstring for whatever a stranger may call."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from tests.house.source import sources

CODE_FROM_DATA = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
CALLS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {("os", "system"), ("os", "popen"), ("yaml", "load"), ("yaml", "unsafe_load"), ("subprocess", "getoutput")}
# Bases that bring no docstrings with them: a public method below any other base may be documented there.
PLAIN_BASES = {
    "Struct",
    "Message",
    "Protocol",
    "ABC",
    "Enum",
    "StrEnum",
    "IntEnum",
    "NamedTuple",
    "Generic",
    "Exception",
    "object",
}


def dangers(tree: ast.Module) -> Iterator[str]:
    """Yield every place of a module that would run data as code, or start a shell."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            roots = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"line {node.lineno}: import {root}" for root in roots if root.partition(".")[0] in CODE_FROM_DATA)
            if isinstance(node, ast.ImportFrom):
                pairs = {(node.module, alias.name) for alias in node.names}
                yield from (f"line {node.lineno}: from {module} import {name}" for module, name in pairs & ATTRIBUTES)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in ATTRIBUTES:
            yield f"line {node.lineno}: {node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in CALLS:
                yield f"line {node.lineno}: {node.func.id}()"
            is_shell = (word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
                        for word in node.keywords)  # fmt: skip
            if any(is_shell):
                yield f"line {node.lineno}: a shell"


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Yield the public classes, functions and methods of a module that have no docstring."""
    for node in tree.body:
        yield from _undocumented(node, "")


def _undocumented(node: ast.stmt, prefix: str) -> Iterator[str]:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
        return
    if not ast.get_docstring(node) and not _repeats_another(node):
        yield f"line {node.lineno}: {prefix}{node.name}"
    if isinstance(node, ast.ClassDef) and {_last_name(base) for base in node.bases} <= PLAIN_BASES:
        for member in node.body:
            yield from _undocumented(member, f"{node.name}.")


def _repeats_another(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Say whether this is one of several signatures, or a setter: documented once, elsewhere."""
    return any(_last_name(decorator) in {"overload", "override", "setter"} for decorator in node.decorator_list)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript | ast.Call):
        return _last_name(node.value if isinstance(node, ast.Subscript) else node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_no_data_is_run_as_code() -> None:
    found = {file: places for file, tree in sources("src", "tests", "benchmarks") if (places := list(dangers(tree)))}
    assert not found, f"code from data, or a shell: {found}"


def test_every_module_says_what_it_owns() -> None:
    silent = [file for file, tree in sources("src", "tests", "benchmarks")
              if file != "src/copernicus/plugin/__init__.py" and not ast.get_docstring(tree)]  # fmt: skip
    assert not silent, f"no module docstring: {silent}"


def test_whatever_is_public_is_documented() -> None:
    found = {file: places for file, tree in sources("src") if (places := list(undocumented(tree)))}
    assert not found, f"public and without a docstring: {found}"


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from marshal import loads",
        "eval('1')",
        "exec(code)",
        "yaml.load(text)",
        "from os import system",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=flag)",
    ],
)
def test_a_danger_is_noticed(line: str) -> None:
    assert list(dangers(ast.parse(line)))


def test_harmless_lines_are_let_through() -> None:
    assert not list(dangers(ast.parse("re.compile('x'); ast.literal_eval('1'); subprocess.run(['ls'], shell=False)")))


def test_a_missing_docstring_is_noticed() -> None:
    source = """
class A(Struct):
    'A.'
    def f(self): ...
    def _g(self): ...
class B(A):
    'B.'
    def f(self): ...
def h(): ...
"""
    assert list(undocumented(ast.parse(source))) == ["line 4: A.f", "line 9: h"]
