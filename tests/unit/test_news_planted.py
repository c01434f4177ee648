"""Bugs planted into what controllers are told: a difference that lacks something must be noticed, whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.unit.drive import Drive

from copernicus.dataflow import facts as f, network, news
from copernicus.dataflow.calls import ControllerCall
from copernicus.plugin import memory

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]
PLANTS: dict[str, tuple[Callable[[Drive], None], Plant]] = {}


def plant(scenario: Callable[[Drive], None]) -> Callable[[Plant], Plant]:
    """Register a bug, and the scenario in which it shows."""

    def register(bug: Plant) -> Plant:
        PLANTS[bug.__name__] = scenario, bug
        return bug

    return register


def children_come_and_go(drive: Drive) -> None:
    drive.make("steer", "s", n=3, x=1)
    drive.finish()
    drive.set("s:in.n", 2)
    drive.answer_all()
    drive.set("s:in.n", 3)
    drive.finish()


def a_child_ends_during_a_call(drive: Drive) -> None:
    drive.make("steer", "s", n=3, x=1)
    drive.answer_all()
    drive.set("s:in.x", 1)
    drive.set("s:in.x", 2)
    for path in ("s:job_0", "s:job_2"):
        key = next(key for key, job in drive.jobs.items() if job["path"] == path and job["state"] == "queued")
        drive.lease(key)
        drive.end_job(key)
    drive.finish()


def tell_without(patch: Patch, **less: Callable[[ControllerCall], Any]) -> None:
    """Let calls that are differences lack something."""
    difference = news._difference

    def tell_less(*about: Any) -> ControllerCall:
        call = difference(*about)
        return msgspec.structs.replace(call, **{name: part(call) for name, part in less.items()})

    patch.setattr(news, "_difference", tell_less)


@plant(children_come_and_go)
def a_changed_child_is_left_out_of_a_difference(patch: Patch) -> None:
    tell_without(patch, children=lambda call: call.children[:-1])


@plant(children_come_and_go)
def a_changed_input_is_left_out_of_a_difference(patch: Patch) -> None:
    tell_without(patch, inputs=lambda call: {})


@plant(children_come_and_go)
def a_removed_child_is_left_out_of_a_difference(patch: Patch) -> None:
    tell_without(patch, removed=lambda call: [])


@plant(children_come_and_go)
def a_child_made_anew_is_told_of_like_the_former_one(patch: Patch) -> None:
    view = news._view
    patch.setattr(news, "_view", lambda net, child, seen, parts=None: view(net, child, max(seen, child.made), parts))


@plant(a_child_ends_during_a_call)
def what_happens_during_a_call_is_not_news(patch: Patch) -> None:
    seen = network.Network._seen

    def forget(self: Any, fact: f.Seen) -> None:
        seen(self, fact)
        self.instances[fact.id].news = {}

    patch.setitem(network._DO, f.Seen, forget)


@plant(children_come_and_go)
def a_difference_repeats_old_news(patch: Patch) -> None:
    unflagged = memory.Memory.hear

    def keep_flags(self: Any, call: ControllerCall) -> None:
        self.news = []
        unflagged(self, call)

    patch.setattr(memory.Memory, "hear", keep_flags)


@pytest.mark.parametrize("name", PLANTS)
def test_the_witness_notices(name: str, monkeypatch: Patch) -> None:
    scenario, bug = PLANTS[name]
    scenario(Drive())
    bug(monkeypatch)
    with pytest.raises((AssertionError, KeyError, RecursionError)):
        scenario(Drive())
