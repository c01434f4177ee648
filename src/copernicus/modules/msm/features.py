"""Trajectories as points: features from .npz files, angles on the unit circle, and regions of the plane that they span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Trajectories:
    """Many trajectories, one after the other.

    `values` (frames, features) holds angles in radians and distances as they were; `owner` (frames,) says which
    trajectory a frame belongs to, `frame` (frames,) its number there.
    """

    names: tuple[str, ...]
    is_angle: tuple[bool, ...]
    values: Array
    owner: Array
    frame: Array

    @property
    def count(self) -> int:
        """How many trajectories there are."""
        return int(self.owner[-1]) + 1 if len(self.owner) else 0

    def points(self) -> Array:
        """Return the frames as points (frames, dimensions) in which an angle is its cosine and sine."""
        columns = []
        for column, is_angle in enumerate(self.is_angle):
            values = self.values[:, column]
            columns += [np.cos(values), np.sin(values)] if is_angle else [values]
        return np.column_stack(columns)

    def pairs(self, lag: int) -> Array:
        """Return the first frames (as indices) of all pairs of frames `lag` apart in the same trajectory."""
        first = np.arange(max(0, len(self.owner) - lag))
        return first[self.owner[first] == self.owner[first + lag]]


@dataclass(frozen=True)
class Region:
    """A named part of the space of features: for each given feature a range, angles in degrees.

    A range of an angle with low > high goes over ±180°.
    """

    name: str
    ranges: tuple[tuple[str, float, float], ...]

    @classmethod
    def parse(cls, words: Sequence[str]) -> Region:
        """Read `NAME FEATURE LOW HIGH [FEATURE LOW HIGH]…`; raises `ValueError`."""
        name, rest = words[0], words[1:]
        if not rest or len(rest) % 3:
            raise ValueError(f"region {name!r}: give a feature, its lowest and its highest value.")
        return cls(name, tuple((rest[i], float(rest[i + 1]), float(rest[i + 2])) for i in range(0, len(rest), 3)))

    def contains(self, data: Trajectories) -> Array:
        """Say of each frame whether it lies inside; raises `ValueError` for a feature that is not there."""
        inside: Array = np.ones(len(data.values), dtype=bool)
        for feature, low, high in self.ranges:
            if feature not in data.names:
                raise ValueError(f"region {self.name!r}: there is no feature {feature!r}, only {', '.join(data.names)}.")
            column = data.names.index(feature)
            values = data.values[:, column]
            if data.is_angle[column]:
                values = np.degrees(values)
            inside &= ((values >= low) & (values <= high)) if low <= high else ((values >= low) | (values <= high))
        return inside


def read_trajectories(files: Sequence[Path], angles: Sequence[str], distances: Sequence[str]) -> Trajectories:
    """Read the named features of all files (.npz, one array of shape (frames,) or (frames, 1) per feature).

    Raises `ValueError` for a file that lacks one or whose features differ in length.
    """
    names = (*angles, *distances)
    if not names:
        raise ValueError("no features are named.")
    values, owner, frame = [], [], []
    for number, path in enumerate(files):
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in names if name not in arrays]
            if missing:
                raise ValueError(f"{path.name} has no feature {missing[0]!r}, only {', '.join(arrays)}.")
            table = np.column_stack([arrays[name].reshape(-1) for name in names])
        values.append(table)
        owner.append(np.full(len(table), number))
        frame.append(np.arange(len(table)))
    if not values:
        raise ValueError("no trajectories are given.")
    return Trajectories(
        names=names,
        is_angle=(True,) * len(angles) + (False,) * len(distances),
        values=np.concatenate(values).astype(float),
        owner=np.concatenate(owner),
        frame=np.concatenate(frame),
    )
