"""What authors' signatures become: schemas, job descriptions, and refusals that name file and line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from copernicus.errors import ModuleError
from copernicus.model.functions import Field
from copernicus.model.jobs import Output, Rule, StagedFile
from copernicus.model.values import FileRef
from copernicus.plugin.functions import (
    Fail,
    FewerCores,
    File,
    GiveUp,
    Job,
    Module,
    file,
    files,
    json_of,
    number,
    option,
    text,
)
from copernicus.plugin.shapes import shape_of
from copernicus.testing.authors import call_command

HERE = "test_kit_schemas.py:"


@dataclass(frozen=True)
class Setting:
    name: str
    value: float = 1.0


@dataclass
class Model:
    """A model.

    Attributes:
        timescales: slowest first
    """

    timescales: Annotated[list[float], "ns"]
    tree: File | None = None


@dataclass
class Ended:
    """All kinds of outputs."""

    conf: File
    parts: list[File]
    energy: float
    model: Model
    said: str
    given: File
    count: int
    picture: File | None


def declared() -> Module:
    kit = Module("kit", "For tests")

    @kit.command
    def simulate(
        tpr: File,
        parts: Sequence[File],
        mode: Literal["nve", "nvt"] = "nvt",
        settings: Sequence[Setting] = (Setting("dt", 2.0),),
        length_ns: Annotated[float, "ns"] = 10,
        ndx: File | None = None,
        limit: int | None = None,
        holes: Sequence[float | None] = (),
        verbose: bool = False,
    ) -> Job[Ended]:
        """Simulates.

        In two lines.

        Args:
            tpr: run input,
                made by grompp
            length_ns: how long
        """
        return Job(
            "gromacs/mdrun >=2019",
            ["-s", tpr, "-p", *parts, *option("-n", ndx), *option("-v", verbose), *option("-limit", limit)],
            Ended(
                conf=file("confout*.gro"),
                parts=files("part*.xtc"),
                energy=number("stdout", r"E = (\S+)"),
                model=json_of("result.json", Model),
                said=text(),
                given=tpr,
                count=len(parts),
                picture=file("picture.png"),
            ),
            cores=(1, None),
            priority=99,
            needs=[] if ndx is None else [parts[0]],
            until=["-ns", length_ns],
            checkpoint=["state.cpt"],
            rules=[Rule(stderr="domain", then=FewerCores), Rule(exit_status=2, then=Fail), GiveUp(after=4)],
        )

    return kit


def test_a_signature_is_a_schema() -> None:
    schema = declared().functions["simulate"].schema
    assert schema.name == "kit::simulate"
    assert schema.help == "Simulates.\n\nIn two lines."
    assert schema.inputs == (
        Field("tpr", "file", "run input, made by grompp"),
        Field("parts", "file[]"),
        Field("mode", 'string("nve", "nvt")', default="nvt"),
        Field("settings", "record{name: string, value: float}[]", default=[{"name": "dt", "value": 2.0}]),
        Field("length_ns", "float", "how long (ns)", default=10.0),
        Field("ndx", "file?"),
        Field("limit", "int?"),
        Field("holes", "float?[]", default=[]),
        Field("verbose", "bool", default=False),
    )
    assert [(one.name, one.type) for one in schema.outputs][3:] == [
        ("model", "record{timescales: float[], tree: file?}"),
        ("said", "string"),
        ("given", "file"),
        ("count", "int"),
        ("picture", "file?"),
    ]


def test_a_command_describes_its_job() -> None:
    command = declared().functions["simulate"]
    tpr, index = File("a" * 64, 1, "some name.tpr"), File("c" * 64, 3, "index.ndx")
    parts = [File(f"{number}" * 64, 2, f"old.part{number}.xtc") for number in range(2)]
    job = call_command(command, tpr, parts, ndx=index, length_ns=2.5, verbose=True)
    assert (job.executable, job.versions, job.priority) == ("gromacs/mdrun", ">=2019", 30)
    argv = "-s tpr.tpr -p parts_0.xtc parts_1.xtc -n ndx.ndx -v -ns 2.5"
    assert job.arguments == tuple(argv.split())
    assert {one.name for one in job.files} == {"old.part0.xtc", "tpr.tpr", "parts_0.xtc", "parts_1.xtc", "ndx.ndx"}
    # The key of a job must not change with the name under which a file was uploaded.
    assert StagedFile("tpr.tpr", FileRef("a" * 64, 1, "tpr.tpr")) in job.files
    assert job.outputs["conf"] == Output("file", "confout*.gro")
    assert job.outputs["picture"] == Output("file", "picture.png", is_optional=True)
    assert job.outputs["energy"] == Output("number", r"E = (\S+)")
    assert job.outputs["given"].value == {"blob": "a" * 64, "size": 1, "name": "some name.tpr"}
    assert job.outputs["count"] == Output("value", value=2)
    assert [rule.then for rule in job.rules] == ["fewer_cores", "fail", "fail"]
    assert (job.resources.cores_min, job.resources.cores_max) == (1, None)


def test_a_scatter_lifts_what_is_not_whole() -> None:
    kit = declared()
    schema = kit.scatter("many", kit.functions["simulate"], whole=["mode"]).schema
    types = {one.name: one.type for one in schema.inputs}
    assert types["tpr"] == "file[]"
    assert types["parts"] == "file[][]"
    assert types["mode"] == 'string("nve", "nvt")'
    assert types["limit"] == "int?[]?"
    assert types["length_ns"] == "float?[]?"
    assert [one.name for one in schema.inputs if one.is_required] == ["tpr", "parts"]
    assert {one.name: one.type for one in schema.outputs}["picture"] == "file?[]"
    assert (schema.kind, schema.base, schema.whole) == ("scatter", "kit::simulate", ("mode",))


@dataclass
class Out:
    n: int


def no_hint(kit: Module) -> None:
    @kit.pure
    def f(a) -> Out:  # type: ignore[no-untyped-def]
        return Out(a)


def no_dataclass(kit: Module) -> None:
    @kit.pure
    def f(a: int) -> int:
        return a


def a_dict(kit: Module) -> None:
    @kit.pure
    def f(a: dict[str, int]) -> Out:
        return Out(1)


def a_wrong_default(kit: Module) -> None:
    @kit.pure
    def f(a: int = "three") -> Out:  # type: ignore[assignment]
        return Out(a)


def many_arguments(kit: Module) -> None:
    @kit.pure
    def f(*a: int) -> Out:
        return Out(1)


def no_job(kit: Module) -> None:
    @kit.command  # type: ignore[arg-type]
    def f(a: int) -> Out:
        return Out(a)


def no_call(kit: Module) -> None:
    @kit.controller  # type: ignore[arg-type]
    def f(a: int) -> None:
        pass


def declared_twice(kit: Module) -> None:
    @kit.pure
    def f(a: int) -> Out:
        return Out(a)

    kit.pure(f.python)  # type: ignore[arg-type]


@dataclass
class Tree:
    branches: list[Tree] = field(default_factory=list)


def a_type_in_itself(kit: Module) -> None:
    @kit.pure
    def f(a: Tree) -> Out:
        return Out(1)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (no_hint, "parameter a of f has no type hint"),
        (no_dataclass, "must be a dataclass, not int"),
        (a_dict, "dict is no type for a value. Use a dataclass"),
        (a_wrong_default, "expected int, got 'three'"),
        (many_arguments, "named one by one"),
        (no_job, "must return Job"),
        (no_call, "must be a Call"),
        (declared_twice, "declared twice"),
        (a_type_in_itself, "contains itself"),
    ],
)
def test_a_wrong_declaration_is_refused_with_file_and_line(declare: Callable[[Module], None], message: str) -> None:
    with pytest.raises(ModuleError) as refusal:
        declare(Module("kit"))
    assert message in str(refusal.value)
    line = declare.__code__.co_firstlineno
    lines = [f"{HERE}{line + offset}:" for offset in range(1, 6)]
    assert any(place in str(refusal.value) for place in lines), str(refusal.value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [([None], "*option"), ([True], "an argument is a text"), ([{"a": 1}], "an argument is a text")],
)
def test_argv_takes_only_texts_numbers_and_files(argv: list[Any], message: str) -> None:
    with pytest.raises(ModuleError, match="argv holds") as refusal:
        Job("x/y", argv, Out(1)).describe(shape_of(Out, globals()))
    assert message in str(refusal.value)


def test_two_needed_files_of_one_name_are_refused() -> None:
    needs = [File("a" * 64, 1, "x.itp"), File("b" * 64, 1, "dir/x.itp")]
    with pytest.raises(ModuleError, match=r"called x\.itp"):
        Job("x/y", [], Out(1), needs=needs).describe(shape_of(Out, globals()))
    assert len(Job("x/y", [], Out(1), needs=[needs[0], needs[0]]).describe(shape_of(Out, globals())).files) == 1


def test_a_number_may_be_whole() -> None:
    described = Job("x/y", [], Out(number("stdout", "(.)"))).describe(shape_of(Out, globals()))  # type: ignore[arg-type]
    assert described.outputs == {"n": Output("number", "(.)")}
