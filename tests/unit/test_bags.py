"""Bags of jobs: places in arguments, seeds, the layout of a sweep, its table, and what the client makes of flags."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from copernicus.client.bags import BagSpec, read_sweep
from copernicus.errors import ModuleError, UsageError
from copernicus.model import edits as e
from copernicus.modules.ensemble.arguments import fill, seed_of
from copernicus.modules.ensemble.bags import lay_out, reduce, run, tabulate
from copernicus.testing import call_command, fake_file


def test_values_fill_places_and_never_become_more_than_one_argument() -> None:
    job = call_command(
        run, ["prog", "--T={T}", "{T}{i}", "{seed}", "{{T}}", "{print $1}", "a b"], index=3, seed=7, names=["T"],
        values=["3 0; rm -rf *"],
    )  # fmt: skip
    assert job.executable == "prog"
    assert job.argv == ("--T=3 0; rm -rf *", "3 0; rm -rf *3", "7", "{T}", "{print $1}", "a b")


def test_a_place_without_a_value_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(ModuleError, match=r"\{temp\}.*no parameter") as refusal:
        fill(["--T={temp}"], {"i": "0", "T": "300"})
    assert "{i}, {T}" in refusal.value.hint


@given(st.text(), st.lists(st.text()))
def test_what_stands_in_a_value_is_not_looked_at_again(value: str, words: list[str]) -> None:
    assert fill(["{T}", "{{T}}"], {"T": value, "i": "1"}) == [value, "{T}"]
    plain = [word for word in words if "{" not in word]
    assert fill(plain, {}) == plain


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(0, 2**20))
def test_no_two_jobs_share_a_seed(seed: int, index: int, distance: int) -> None:
    other = (index + distance) % 2**31
    assert 0 <= seed_of(seed, index) < 2**31
    assert (seed_of(seed, index) == seed_of(seed, other)) == (index == other)


def test_a_job_collects_what_was_asked_for_and_nothing_else() -> None:
    bare = call_command(run, ["prog"])
    assert {name: output.kind for name, output in bare.outputs.items()} == {"stdout": "file", "files": "value"}
    job = call_command(
        run, ["prog"], files=[fake_file("data/start.gro", "x")], outputs=["*.xvg", "*.log"], extract="E=(.*)", cores=4
    )
    assert [staged.name for staged in job.files] == ["start.gro"]
    assert job.outputs["files"].pattern == "*.xvg\n*.log"
    assert job.outputs["number"].pattern == "E=(.*)"
    assert job.resources.cores_min == job.resources.cores_max == 4
    for command in ([], ["prog with arguments"]):
        with pytest.raises(ModuleError):
            call_command(run, command)


def test_a_sweep_is_every_combination_and_more_repeats_come_behind() -> None:
    plan = lay_out.python(["T", "p"], [["280", "300"], ["1", "2"]], 2)  # type: ignore[misc]
    assert plan.values == [["280", "1"], ["280", "2"], ["300", "1"], ["300", "2"]] * 2
    assert plan.index == list(range(8))
    assert len(set(plan.seed)) == 8
    longer = lay_out.python(["T", "p"], [["280", "300"], ["1", "2"]], 3)  # type: ignore[misc]
    assert longer.seed[:8] == plan.seed
    assert lay_out.python((), (), 3).values == [[], [], []]  # type: ignore[misc]
    for wrong in ((["T"], []), (["T", "T"], [["1"], ["2"]]), (["i"], [["1"]]), (["a b"], [["1"]]), (["T"], [["1"] * 100_001])):
        with pytest.raises(ModuleError):
            lay_out.python(*wrong)  # type: ignore[misc]


def test_the_table_has_a_line_for_each_job() -> None:
    stdouts = [fake_file("stdout", "")] * 3
    table = tabulate.python([5, 6, 7], [["a,b"], ["c"], ["d"]], stdouts, ["x"], [0.1, None]).table  # type: ignore[misc]
    assert table == 'job,x,seed,number\n0,"a,b",5,0.1\n1,c,6,\n2,d,7,\n'


def test_reduce_has_all_files_side_by_side() -> None:
    left = [[fake_file("a.xvg", "1"), fake_file("b.log", "2")], [fake_file("a.xvg", "3")]]
    job = call_command(reduce, ["cat", "{files...}", "{stdouts...}"], files=left, stdouts=[fake_file("stdout", "4")])
    assert job.argv == ("0.a.xvg", "0.b.log", "1.a.xvg", "0.stdout")
    assert {staged.name for staged in job.files} == set(job.argv)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("T=280:300:5", ["280", "285", "290", "295", "300"]),
        ("T=0:1:0.25", ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        ("T=0.1:0.35:0.1", ["0.1", "0.2", "0.3"]),
        ("T=3:1:-1", ["3", "2", "1"]),
        ("T=5:5:1", ["5"]),
        ("T=fast,slow", ["fast", "slow"]),
        ("T=10:20", ["10:20"]),
    ],
)
def test_sweeps_are_read_exactly(text: str, values: list[str]) -> None:
    assert read_sweep(text) == ("T", values)


@pytest.mark.parametrize(
    "text", ["T", "T=", "=1", "a b=1:2:1", "T=1:2:0", "T=1:2:-1", "T=a:b:c", "T=0:1e9:1", "T=0:nan:1", "i=1:2:1", "T=0:inf:1"]
)
def test_what_is_no_sweep_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_sweep(text)


def test_a_bag_is_one_transaction_that_makes_one_instance() -> None:
    spec = BagSpec(["prog", "--T={T}"], sweep={"T": ["1", "2"]}, repeats=3)
    spec.check()
    edits = spec.edits("mine", [])
    assert spec.jobs == 6
    assert [edit for edit in edits if isinstance(edit, e.MakeInstance)] == [e.MakeInstance("ensemble::sweep", "mine")]
    assert e.SetValue("mine:in.values", [["1", "2"]]) in edits
    assert edits[-1] == e.Activate("mine")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (BagSpec([]), "no program"),
        (BagSpec(["prog", "{T}"]), r"--sweep T="),
        (BagSpec(["prog"], files=["a/x", "b/x"]), "taken"),
        (BagSpec(["prog"], repeats=0), "at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(spec: BagSpec, why: str) -> None:
    with pytest.raises(UsageError) as refusal:
        spec.check()
    assert why in str(refusal.value) or why in refusal.value.hint
