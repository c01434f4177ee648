"""What the worker decides without touching anything: cores, order of names, verdicts on attempts, command line."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, strategies as st

from copernicus.errors import UsageError
from copernicus.model.jobs import JobDescription, Rule
from copernicus.plugin.executables import Executable
from copernicus.plugin.registry import Found
from copernicus.worker.agent import best_program
from copernicus.worker.cli import parse_duration
from copernicus.worker.harvest import natural_key
from copernicus.worker.judging import judge
from copernicus.worker.partition import BATCH, fit, granted, hoard, pick


@dataclass(frozen=True)
class Wants:
    cores: int


def test_24_cores_take_one_job_of_12_and_twelve_of_1() -> None:
    queue = [Wants(12), Wants(24), *[Wants(1)] * 20]
    assert [job.cores for job in fit(queue, 24)] == [12, *[1] * 12]


@given(st.lists(st.integers(1, 30).map(Wants)), st.integers(0, 30))
def test_a_split_never_exceeds_what_is_free_and_leaves_nothing_that_fits(queue: list[Wants], free: int) -> None:
    starting = fit(queue, free)
    used = sum(job.cores for job in starting)
    assert used <= free
    rest = list(queue)
    for job in starting:
        rest.remove(job)
    assert all(job.cores > free - used for job in rest)


@given(st.sets(st.integers(0, 63)), st.integers(1, 64))
def test_cores_are_picked_from_the_free_ones_and_together_where_that_is_possible(free: set[int], count: int) -> None:
    picked = pick(free, count)
    assert picked <= free
    assert len(picked) == min(count, len(free))
    if any(set(range(start, start + count)) <= free for start in range(64)):
        assert max(picked) - min(picked) == count - 1


def test_long_runs_of_cores_stay_whole() -> None:
    assert pick({0, 1, 2, 3, 4, 6}, 1) == {6}
    assert pick({0, 2, 3, 5}, 3) == {0, 2, 3}


def test_cores_of_a_job_are_capped_but_never_below_its_minimum() -> None:
    assert granted(24, 1, 24, None) == 24
    assert granted(24, 1, 24, 2) == 2
    assert granted(24, 4, 24, 2) == 4
    assert granted(64, 1, 24, None) == 24


def test_only_short_jobs_are_hoarded() -> None:
    assert hoard(2, []) == 0
    assert hoard(2, [0.002] * 8) == 2 * BATCH
    assert 0 < hoard(2, [0.1] * 8) < BATCH
    assert hoard(2, [0.002] * 7 + [3.0]) == 0


def test_names_sort_as_people_count() -> None:
    names = ["p10/a", "p2/b10", "p2/b9", "a", "p1", "p01"]
    assert sorted(names, key=natural_key) == ["a", "p1", "p01", "p2/b9", "p2/b10", "p10/a"]


@dataclass
class Evidence:
    exit_status: int = 0
    has_progress: bool = False
    files: set[str] = field(default_factory=set)
    stdout: str = ""
    stderr: str = ""

    def says(self, stream: str, pattern: str) -> bool:
        return pattern in getattr(self, stream)

    def has(self, pattern: str) -> bool:
        return pattern in self.files


def verdict(
    evidence: Evidence, *rules: Rule, done_when: str | None = None, attempt: int = 1, cores: int = 8
) -> tuple[str, int | None]:
    judgement = judge(JobDescription("x", done_when=done_when, rules=rules), attempt, cores, evidence)
    return judgement.outcome, judgement.cores_max


def test_finished_is_status_0_and_done() -> None:
    assert verdict(Evidence()) == ("finished", None)
    assert verdict(Evidence(files={"out"}), done_when="out") == ("finished", None)
    assert verdict(Evidence(), done_when="out") == ("failed", None)
    assert verdict(Evidence(1, files={"out"}), done_when="out") == ("failed", None)
    assert verdict(Evidence(has_progress=True), done_when="out") == ("retry", None)
    assert verdict(Evidence(-9)) == ("failed", None)


def test_the_first_rule_that_matches_counts() -> None:
    fewer, fail = Rule("fewer_cores", stderr="decomposition"), Rule("fail", stderr="Fatal")
    give_up = Rule("fail", attempts=4)
    rules = (fewer, fail, give_up)
    assert verdict(Evidence(1, stderr="decomposition Fatal"), *rules) == ("retry", 4)
    assert verdict(Evidence(1, stderr="decomposition"), *rules, cores=1) == ("failed", None)
    assert verdict(Evidence(1, stderr="Fatal"), *rules) == ("failed", None)
    assert verdict(Evidence(1), *rules, attempt=3) == ("retry", None)
    assert verdict(Evidence(1), *rules, attempt=4) == ("failed", None)
    assert verdict(Evidence(1, has_progress=True), *rules, attempt=4) == ("retry", None)
    assert verdict(Evidence(3), Rule("finish", exit_status=3)) == ("finished", None)
    assert verdict(Evidence(3), Rule("retry", exit_status=3, stdout="busy")) == ("failed", None)
    assert verdict(Evidence(3, stdout="busy"), Rule("retry", exit_status=3, stdout="busy")) == ("retry", None)


def test_the_newest_program_in_range_is_taken() -> None:
    programs = [Found(Executable("gmx", ("gmx",)), version, "") for version in ("2019.6", "2022.10", "2022.5")]
    for versions, best in (("", "2022.10"), ("<2022", "2019.6"), (">=2019, <2022.10", "2022.5")):
        found = best_program(programs, JobDescription("gmx", versions=versions))
        assert found is not None
        assert found.version == best
    assert best_program(programs, JobDescription("gmx", versions=">2022.10")) is None
    candidate = Found(Executable("gmx", ("gmx",)), "2022.10rc1", "")
    assert best_program([programs[1], candidate], JobDescription("gmx")) is programs[1], "it is older than its release"


def test_time_left_is_read_as_schedulers_write_it() -> None:
    times = {"90": 90, "90m": 5400, "4h": 14400, "1.5d": 129600, "5:30": 330, "1:30:00": 5400, "1-12:00": 129600}
    for text, seconds in times.items():
        assert parse_duration(text) == seconds, text
    with pytest.raises(UsageError):
        parse_duration("soon")
