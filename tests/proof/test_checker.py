"""The checker finds what it is there for: each planted falsehood in a journal or a book, and none in a true one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.proof.checker import Finding, judge_book, judge_seen, judge_sequence, judge_values
from tests.proof.evidence import Evidence, JobEvidence
from tests.proof.journal import Journal, Operation

VALUES = [7, 3, 11, 5]


class Run:
    """A run in which nothing went wrong, though one worker was lost and one answer never came."""

    def __init__(self) -> None:
        self.journal = Journal([Operation(f"r{value}", value, seq) for seq, value in zip((4, 5, None, 9), VALUES, strict=True)])
        self.inputs = list(VALUES)
        self.outputs: list[int | None] = [2 * value for value in VALUES]
        self.evidence = Evidence(
            [JobEvidence(job, f"key{job}", "done", [(1, "finished")]) for job in range(1, 4)]
            + [JobEvidence(4, "key4", "done", [(1, "lost"), (2, "finished")])],
            list(range(1, 15)),
            {f"key{job}": 1 for job in range(1, 5)},
            {f"key{job}": 1 for job in range(1, 5)},
        )
        for _ in range(2):
            self.journal.see("out[0]", 14)

    def findings(self) -> list[Finding]:
        """Judge the run."""
        return [
            *judge_values(self.journal, self.inputs, self.outputs),
            *judge_book(self.evidence, jobs_wanted=4),
            *judge_sequence(self.journal, self.evidence),
            *judge_seen(self.journal),
        ]


def lose_a_value(run: Run) -> None:
    del run.inputs[0], run.outputs[0], run.evidence.jobs[0]


def double_a_value(run: Run) -> None:
    run.inputs.append(7)
    run.outputs.append(14)


def apply_a_replay_as_new(run: Run) -> None:
    run.journal.operations[1].seq = 4


def lose_a_result(run: Run) -> None:
    run.outputs[2] = None


def mix_results_up(run: Run) -> None:
    run.outputs[2], run.outputs[3] = run.outputs[3], run.outputs[2]


def mix_the_order_up(run: Run) -> None:
    run.inputs.reverse()
    run.outputs.reverse()


def accept_two_results(run: Run) -> None:
    run.evidence.jobs[3].attempts[0] = (1, "finished")


def file_twice(run: Run) -> None:
    run.evidence.filings["key2"] = 2


def accept_without_filing(run: Run) -> None:
    del run.evidence.filings["key2"]


def make_a_job_twice(run: Run) -> None:
    run.evidence.jobs.append(JobEvidence(5, "key4", "done", [(1, "finished")]))


def reset_attempts(run: Run) -> None:
    run.evidence.jobs[3].attempts[1] = (1, "finished")


def leave_a_job(run: Run) -> None:
    run.evidence.jobs[1] = JobEvidence(2, "key2", "leased", [(1, "")])


def tear_the_log(run: Run) -> None:
    run.evidence.seqs.remove(9)


def forget_what_was_read(run: Run) -> None:
    run.journal.see("out[0]", None)


def take_a_read_value_back(run: Run) -> None:
    run.journal.see("out[0]", 15)


def test_a_true_run_is_found_good() -> None:
    assert Run().findings() == []


@pytest.mark.parametrize(
    ("falsify", "kind"),
    [
        (lose_a_value, "lost"), (double_a_value, "doubled"), (apply_a_replay_as_new, "doubled"), (lose_a_result, "stuck"),
        (mix_results_up, "unexpected"), (mix_the_order_up, "unexpected"), (accept_two_results, "doubled"),
        (file_twice, "doubled"), (accept_without_filing, "lost"), (make_a_job_twice, "doubled"), (reset_attempts, "doubled"),
        (leave_a_job, "stuck"), (tear_the_log, "lost"),
        (forget_what_was_read, "lost"), (take_a_read_value_back, "lost"),
    ],
)  # fmt: skip
def test_a_planted_falsehood_is_caught(falsify: Callable[[Run], None], kind: str) -> None:
    run = Run()
    falsify(run)
    assert kind in {finding.kind for finding in run.findings()}


def test_a_journal_survives_its_file(tmp_path: Path) -> None:
    journal = Run().journal
    journal.save(tmp_path / "journal")
    assert Journal.load(tmp_path / "journal") == copy.deepcopy(journal)
