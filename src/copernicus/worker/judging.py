"""Was it finished, failed, or is it to be tried again? The rules of a job, applied to what its attempt left."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Literal, Protocol

from copernicus.model.counts import gigabytes
from copernicus.model.jobs import JobDescription, Rule

_NO_MEMORY = r"MemoryError|std::bad_alloc|Cannot allocate memory|[Oo]ut of memory"


class Evidence(Protocol):
    """What an ended attempt left."""

    @property
    def exit_status(self) -> int:
        """Negative for the signal that killed it."""
        ...

    @property
    def has_progress(self) -> bool:
        """Whether a checkpoint file differs from what the attempt began with."""
        ...

    def says(self, stream: str, pattern: str) -> bool:
        """Whether the regular expression is found in "stdout" or "stderr"."""
        ...

    def has(self, pattern: str) -> bool:
        """Whether a regular file matches the glob."""
        ...


@dataclass(frozen=True)
class Judgement:
    """The outcome; `why` for people, empty when finished. `cores_max` limits the next attempt."""

    outcome: Literal["finished", "failed", "retry"]
    why: str = ""
    cores_max: int | None = None


def judge(description: JobDescription, failure: int, cores: int, evidence: Evidence) -> Judgement:
    """Judge an attempt that ended by itself; should it have failed, it is failure number `failure` in a row.

    Finished: exit status 0 and, where `done_when` is given, a file that matches it. Otherwise the first rule that
    matches counts. Without one: an attempt that ended well, is not done and got further is tried again, and so is any
    when a rule limits the attempts (that rule would be in vain otherwise); else it failed.
    """
    is_done = description.done_when is None or evidence.has(description.done_when)
    if evidence.exit_status == 0 and is_done:
        return Judgement("finished")
    why = describe_end(description, evidence.exit_status, is_done)
    if description.resources.memory_bytes is not None and evidence.says("stderr", _NO_MEMORY):
        why += f" It was refused memory, it seems: the job asks for {gigabytes(description.resources.memory_bytes)}."
    for rule in description.rules:
        if _matches(rule, failure, evidence):
            return _applied(rule, why, cores)
    has_limit = any(rule.attempts is not None for rule in description.rules)
    if has_limit or (evidence.exit_status == 0 and evidence.has_progress):
        return Judgement("retry", why)
    return Judgement("failed", why)


def describe_end(description: JobDescription, exit_status: int, is_done: bool) -> str:
    """Return how the program ended, as a sentence."""
    if exit_status < 0:
        try:
            name = signal.Signals(-exit_status).name
        except ValueError:
            name = f"signal {-exit_status}"
        hint = " (out of memory, perhaps)" if -exit_status == signal.SIGKILL else ""
        return f"{description.executable} was killed by {name}{hint}."
    if exit_status > 0 or is_done:
        return f"{description.executable} ended with exit status {exit_status}."
    return f"{description.executable} ended with exit status 0, but there is no file {description.done_when!r}."


def _matches(rule: Rule, failure: int, evidence: Evidence) -> bool:
    """Cheap conditions first; those that read files last."""
    if rule.exit_status is not None and rule.exit_status != evidence.exit_status:
        return False
    if rule.attempts is not None and (failure < rule.attempts or evidence.has_progress):
        return False
    if rule.file is not None and not evidence.has(rule.file):
        return False
    return all(
        pattern is None or evidence.says(stream, pattern)
        for stream, pattern in (("stderr", rule.stderr), ("stdout", rule.stdout))
    )


def _applied(rule: Rule, why: str, cores: int) -> Judgement:
    if rule.then == "finish":
        return Judgement("finished")
    if rule.then == "fail":
        return Judgement("failed", f"{why} (Given up after {rule.attempts} attempts.)" if rule.attempts else why)
    if rule.then == "fewer_cores" and cores > 1:
        return Judgement("retry", why, cores_max=cores // 2)
    if rule.then == "fewer_cores":
        return Judgement("failed", f"{why} It cannot be tried with fewer cores than one.")
    return Judgement("retry", why)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression as jobs mean it (`^` and `$` match at lines); raise `ValueError`."""
    try:
        return re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
