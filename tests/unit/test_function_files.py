"""Commands as tables of functions.toml: the job that becomes of them, and refusals that name file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from copernicus.errors import ModuleError
from copernicus.model.functions import Field
from copernicus.model.jobs import Output, Rule, StagedFile
from copernicus.model.values import FileRef
from copernicus.plugin.evaluation import describe
from copernicus.plugin.files import File
from copernicus.plugin.function_files import declare_functions
from copernicus.plugin.functions import Job, file, files, number
from copernicus.plugin.module import Module
from copernicus.testing import call_command, fake_file

TEXT = r"""
[module]
help = "Simulations"

[simulate]
help = "Runs one simulation."
run = "gromacs/mdrun >=2019"
argv = ["-s", "{tpr}", ["-n", "{ndx}"], ["-v", "{verbose}"], "--seed={seed}", "{{x}}", "{more...}"]
until = ["-nsteps", "{steps}"]
in = { tpr = "file", ndx = "file?", verbose = "bool = false", seed = "int = 5", steps = "int", more = "string[] = []", mode = 'string("a = b", "c") = "c"', priority = "int = 0" }
priority = "{priority}"
cores = [1, "all"]
memory_bytes = 1000000
wall_time_s = 2.5
environment = { THREADS = "{seed}" }
checkpoint = ["state.cpt"]
watch = ["md*.log"]
done_when = "confout*.gro"
rules = [{ stderr = "domain", then = "fewer_cores" }, { attempts = 4, then = "fail" }]
scatter = "simulations"
whole = ["mode"]

[simulate.out]
conf = { is = "file: confout*.gro", help = "the last structure", partial = true }
parts = "file[]: part*.xtc"
energy = 'float: stdout: E = (\S+)'
said = "string?: stderr"
table = "record{a: float, b: int[]}: result.json"
given = "file = {tpr}"
of = "int = {seed}"
by = "string = hello"
"""  # noqa: E501


def declared(text: str = TEXT) -> Module:
    module = Module("mine")
    declare_functions(text, Path("functions.toml"), module)
    return module


def test_a_table_is_a_function() -> None:
    module = declared()
    schema = module.functions["simulate"].schema
    assert module.help == "Simulations"
    assert (schema.name, schema.kind, schema.help) == ("mine::simulate", "command", "Runs one simulation.")
    assert schema.input("mode") == Field("mode", 'string("a = b", "c")', default="c")
    assert [one.name for one in schema.inputs if one.is_required] == ["tpr", "steps"]
    assert schema.output("conf") == Field("conf", "file", "the last structure")
    many = module.functions["simulations"].schema
    assert (many.base, many.whole) == ("mine::simulate", ("mode",))
    assert many.output("table") == Field("table", "record{a: float, b: int[]}[]")


def test_inputs_fill_whole_arguments() -> None:
    command = declared().functions["simulate"]
    tpr, index = fake_file("run.tpr", "a"), fake_file("i.ndx", "b")
    job = call_command(command, tpr, steps=10, more=["-a b", "; rm"], priority=3)
    assert (job.executable, job.versions, job.priority) == ("gromacs/mdrun", ">=2019", 3)
    assert job.arguments == ("-s", "tpr.tpr", "--seed=5", "{x}", "-a b", "; rm", "-nsteps", "10")
    assert job.files == (StagedFile("tpr.tpr", FileRef(tpr.blob, 1, "tpr.tpr")),)
    with_all = call_command(command, tpr, ndx=index, verbose=True, steps=10, seed=0)
    assert with_all.arguments == ("-s", "tpr.tpr", "-n", "ndx.ndx", "-v", "--seed=0", "{x}", "-nsteps", "10")
    assert with_all.environment == {"THREADS": "0"}


def test_zero_is_a_number_and_a_hole_is_nothing() -> None:
    text = '[f]\nrun = "x"\nargv = [["-n", "{n}"], ["-m", "{many...}"]]\nin = { n = "int? = 7", many = "float?[]?" }\n'
    command = declared(text).functions["f"]
    assert call_command(command, n=0, many=[1.5, None, 0.0]).argv == ("-n", "0", "-m", "1.5", "0.0")
    assert describe(command, {}).argv == ("-n", "7")
    assert describe(command, {"many": []}).argv == ("-n", "7")


def test_a_job_that_cannot_be_is_refused_with_file_and_line_too() -> None:
    command = declared('\n[f]\nrun = "x"\ncores = "{n}"\nin = { n = "int" }\n').functions["f"]
    with pytest.raises(ModuleError, match=r"^functions.toml:2: mine::f: cores=\(0, 0\) is no number of cores"):
        call_command(command, n=0)


def test_the_rest_of_a_job_has_the_names_of_job() -> None:
    job = call_command(declared().functions["simulate"], fake_file("run.tpr", "a"), steps=10)
    resources = job.resources
    assert (resources.cores_min, resources.cores_max, resources.memory_bytes, resources.wall_time_s) == (1, None, 1000000, 2.5)
    assert (job.checkpoint, job.watch, job.done_when) == (("state.cpt",), ("md*.log",), "confout*.gro")
    assert job.rules == (Rule("fewer_cores", stderr="domain"), Rule("fail", attempts=4))
    assert job.outputs == {
        "conf": Output("file", "confout*.gro", is_partial=True),
        "parts": Output("files", "part*.xtc"),
        "energy": Output("number", r"E = (\S+)"),
        "said": Output("text", "", "stderr", True),
        "table": Output("json", "result.json"),
        "given": Output("value", value={"blob": fake_file("run.tpr", "a").blob, "size": 1, "name": "run.tpr"}),
        "of": Output("value", value=5),
        "by": Output("value", value="hello"),
    }


def test_it_is_the_job_that_python_describes() -> None:
    module = Module("python")

    from dataclasses import dataclass

    @dataclass
    class Out:
        conf: File
        parts: list[File]
        energy: float

    @module.command
    def run(tpr: File, more: list[File]) -> Job[Out]:
        return Job(
            "x/y >=2", ["-s", tpr, *more], Out(file("c*"), files("p*"), number("stdout", "E(.)")), cores=2, needs={"n": tpr}
        )

    text = """
[run]
run = "x/y >=2"
argv = ["-s", "{tpr}", "{more...}"]
in = { tpr = "file", more = "file[]" }
out = { conf = "file: c*", parts = "file[]: p*", energy = "float: stdout: E(.)" }
cores = 2
needs = { "n" = "{tpr}" }
"""
    inputs = fake_file("a.tpr", "a"), [fake_file("b", "b"), fake_file("c.d", "c")]
    assert call_command(declared(text).functions["run"], *inputs) == call_command(run, *inputs)


MISTAKES = [
    ("gromacs/mdrun >=2019", "gromacs/mdrun 2019", 7, "is not a range of versions"),
    ('"{tpr}"', '"{tprr}"', 8, "{tprr} is no input"),
    ('["-n", "{ndx}"]', '"-n", "{ndx}"', 8, "ndx may be absent"),
    ('["-n", "{ndx}"]', '["-n"]', 8, "has no input in it"),
    ("{more...}", "{more}", 8, "more is an array"),
    ("{more...}", "{seed...}", 8, "seed is no array"),
    ("--seed={seed}", "--x={tpr}", 8, "only be an argument of its own"),
    ('["-v", "{verbose}"]', '"{verbose}"', 8, "says whether a group is there"),
    ('seed = "int = 5"', 'seed = "int = five"', 10, "seed: five cannot be read"),
    ('seed = "int = 5"', 'seed = "int = 1.5"', 10, "seed: expected int"),
    ('seed = "int = 5"', 'seed = "intt = 5"', 10, "'intt' is unknown"),
    ('seed = "int = 5"', 'class = "int = 5"', 10, "'class' cannot be used"),
    ('priority = "{priority}"', 'priority = "{mode}"', 11, "must be a number"),
    ('[1, "all"]', '"many"', 12, "cores must be a number"),
    ('wall_time_s = 2.5', "wall_time_s = true", 14, "must be a whole number or a number"),
    ('checkpoint = ["state.cpt"]', "checkpoint = [1]", 16, "patterns"),
    ('then = "fail"', 'then = "fails"', 19, "the rule"),
    ('stderr = "domain"', 'stderr = "("', 19, "no regular expression"),
    ('stderr = "domain"', 'stder = "x"', 19, "unknown key 'stder'"),
    ('scatter = "simulations"', 'skatter = "x"', 20, "unknown key 'skatter'"),
    ('scatter = "simulations"', 'scatter = "simulate"', 20, "declared twice"),
    ('whole = ["mode"]', 'whole = ["modes"]', 20, "no input 'modes'"),
    ('"file[]: part*.xtc"', '"file[]"', 25, "does not say where it comes from"),
    (r"E = (\S+)", r"E = (\S+", 26, "no regular expression"),
    ("'float: stdout", "'bool: stdout", 26, "finds a number or a text"),
    ("file = {tpr}", "file = {tp}", 29, "{tp} is no input"),
    ("file = {tpr}", "file = {seed}", 29, "does not fit the output given"),
    ('help = "Simulations"', 'hilp = "x"', 2, "`module`"),
    ('run = "gromacs/mdrun >=2019"', "", 5, "what it runs"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "words"), MISTAKES)
def test_mistakes_are_refused_with_file_and_line(old: str, new: str, line: int, words: str) -> None:
    assert old in TEXT
    with pytest.raises(ModuleError) as refused:
        declared(TEXT.replace(old, new, 1))
    assert str(refused.value).startswith(f"functions.toml:{line}:")
    assert words in str(refused.value)


def test_a_file_that_is_no_toml_or_declares_nothing() -> None:
    with pytest.raises(ModuleError, match=r"functions.toml: .*line 2"):
        declared("[a]\nb = \n")
    with pytest.raises(ModuleError, match="No function is declared"):
        declared("")


def test_two_needed_files_of_one_name_are_refused_when_they_meet() -> None:
    text = '[run]\nrun = "x"\nneeds = ["{files...}"]\nin = { files = "file[]" }\n'
    command = declared(text).functions["run"]
    assert call_command(command, [fake_file("a/x.itp", "1")]).files[0].name == "x.itp"
    with pytest.raises(ModuleError, match=r"functions.toml:1: Two different files.*x.itp"):
        call_command(command, [fake_file("a/x.itp", "1"), fake_file("b/x.itp", "2")])


def test_what_is_brought_while_the_job_runs() -> None:
    text = """
[f]
run = "x"
in = { often = "int" }
out = { traj = { is = "file[]: t*", partial = true }, n = { is = "int: n.json", partial = false } }
checkpoint_every_s = "{often}"
"""
    job = call_command(declared(text).functions["f"], often=600)
    assert job.checkpoint_every_s == 600
    assert [name for name, output in job.outputs.items() if output.is_partial] == ["traj"]
    for wrong in ('"int: n.json", partial = true', '"file[]: t*", partial = 1', '"int = {often}", partial = true'):
        with pytest.raises(ModuleError, match="only files that the job brings can be partial"):
            declared(text.replace('"int: n.json", partial = false', wrong))
