"""Courses: the keys of one instance that differ only in how long the job runs, so that one goes on where another stopped."""

from __future__ import annotations

from copernicus.dataflow.network import Evaluation, Instance, Network
from copernicus.model.lengths import is_within, numbers_in


def earlier_keys(network: Network, instance: Instance, evaluation: Evaluation) -> tuple[str, ...]:
    """Return the keys of this instance from whose jobs' checkpoints an evaluation may go on, the best first.

    These are of the same course, ask for no more than `evaluation` does, and were not struck out; those that ask for most
    come first, and of equal ones the latest.
    """
    keys = network.courses.get(evaluation.course, {}).get(instance.id, []) if evaluation.course else []
    others = [network.evaluations[key] for key in reversed(keys) if key != evaluation.key]
    fitting = [other for other in others if is_within(other.until, evaluation.until)]
    fitting.sort(key=lambda other: numbers_in(other.until), reverse=True)
    return tuple(other.key for other in fitting)
