"""Overdamped Langevin dynamics in a periodic landscape with three wells, and its exact answers from a grid generator."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from copernicus.modules.msm.features import Trajectories

Array = Any

# Centre (x, y) in radians and depth in kT of each well; kT = 1, diffusion constant 1.
WELLS = ((-2.0, 2.2, 4.0), (-1.3, -1.0, 3.2), (1.2, 0.6, 2.6))
WIDTH = 0.6
WELL_REGIONS = {"first": (-2.0, 2.2), "second": (-1.3, -1.0), "third": (1.2, 0.6)}
REGION_HALF_WIDTH_DEGREES = 50.0


def potential(x: Array, y: Array) -> Array:
    """The energy in kT."""
    return -sum(depth * np.exp(_bump(x - a, y - b)) for a, b, depth in WELLS)


def _bump(dx: Array, dy: Array) -> Array:
    return (np.cos(dx) + np.cos(dy) - 2) / WIDTH**2


def _force(x: Array, y: Array) -> tuple[Array, Array]:
    fx, fy = np.zeros_like(x), np.zeros_like(y)
    for a, b, depth in WELLS:
        bump = depth * np.exp(_bump(x - a, y - b)) / WIDTH**2
        fx -= bump * np.sin(x - a)
        fy -= bump * np.sin(y - b)
    return fx, fy


def simulate(walkers: int, frames: int, seed: int, step: float = 0.002, steps_per_frame: int = 10) -> Trajectories:
    """Return `walkers` trajectories that start uniformly on the torus, which is far from equilibrium."""
    random = np.random.default_rng(seed)
    x, y = random.uniform(-np.pi, np.pi, (2, walkers))
    rows = [np.column_stack([x, y])]
    for _ in range(frames):
        for _ in range(steps_per_frame):
            fx, fy = _force(x, y)
            x = x + fx * step + np.sqrt(2 * step) * random.standard_normal(walkers)
            y = y + fy * step + np.sqrt(2 * step) * random.standard_normal(walkers)
        rows.append(np.column_stack([x, y]))
    values = np.angle(np.exp(1j * np.array(rows).transpose(1, 0, 2))).reshape(-1, 2)
    return Trajectories(
        ("x", "y"), (True, True), values, np.repeat(np.arange(walkers), frames + 1), np.tile(np.arange(frames + 1), walkers)
    )


@cache
def exact(frame: float = 0.02, cells: int = 30) -> tuple[Array, Array]:
    """Return the slowest timescales in frames, and the populations of the regions, from the generator on a grid."""
    side = -np.pi + (np.arange(cells) + 0.5) * 2 * np.pi / cells
    x, y = np.meshgrid(side, side, indexing="ij")
    energy = potential(x, y)
    number = np.arange(cells * cells).reshape(cells, cells)
    rate = (cells / (2 * np.pi)) ** 2
    symmetric = np.zeros((cells * cells, cells * cells))
    for axis in (0, 1):
        there, apart = np.roll(number, -1, axis), np.roll(energy, -1, axis) - energy
        symmetric[number, there] = symmetric[there, number] = rate  # the square root of both rates' product
        np.add.at(symmetric, (number, number), -rate * np.exp(-apart / 2))
        np.add.at(symmetric, (there, there), -rate * np.exp(apart / 2))
    slow = np.linalg.eigvalsh(symmetric)[::-1][1:4]
    weight = np.exp(-energy)
    weight /= weight.sum()
    half = np.radians(REGION_HALF_WIDTH_DEGREES)
    inside = [(_apart(x, a) <= half) & (_apart(y, b) <= half) for a, b in WELL_REGIONS.values()]
    return -1 / (slow * frame), np.array([weight[mask].sum() for mask in inside])


def _apart(x: Array, y: float) -> Array:
    return np.abs(np.angle(np.exp(1j * (x - y))))
