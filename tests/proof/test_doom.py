"""The points at which programs are killed are there, and a program that is doomed dies at its point, and comes up again."""

from __future__ import annotations

import random

import pytest
from tests.proof import doom
from tests.proof.doom import POINTS, Doom
from tests.proof.lives import Deck, Servers

from copernicus.testing.system import System


@pytest.mark.parametrize("name", POINTS)
def test_a_point_is_a_function_of_the_product(name: str) -> None:
    _, _, function = doom.found(POINTS[name])
    assert callable(function)
    assert not isinstance(function, staticmethod | classmethod | property), "it would be taken out of its class"


def test_a_doomed_server_dies_where_it_was_told_to_and_the_next_one_lives(system: System) -> None:
    system.setup()
    servers = Servers(system, Deck([], random.Random(1)))
    assert servers.start(Doom("recovery: the job book is read")) is None
    assert doom.was_met(servers.plan) == "recovery: the job book is read"
    process = servers.start(servers.deck.peace())
    assert process is not None
    assert process.is_running()
    assert doom.was_met(servers.plan) == ""


def test_it_dies_at_the_pass_that_was_drawn(system: System) -> None:
    system.setup(heartbeat_s=2)
    servers = Servers(system, Deck([], random.Random(1)))
    process = servers.start(Doom("looking for silent workers", 3))
    servers.end(process, limit_s=60.0)
    assert dict(servers.deaths) == {"looking for silent workers": 1}


def test_every_point_comes_once_before_one_comes_again() -> None:
    deck = Deck(list(POINTS), random.Random(1), share=0.0)
    drawn = [deck.draw()[0].point for _ in range(2 * len(POINTS))]
    assert sorted(drawn) == sorted([*POINTS, *POINTS])
    assert sorted(drawn[: len(POINTS)]) == sorted(POINTS)
