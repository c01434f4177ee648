"""Features of a molecule: dihedral angles and distances, computed from positions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = Any

ATOMS_OF_KIND = {"dihedral": 4, "distance": 2}


class FeatureDefinition(NamedTuple):
    """A feature: its name, its kind ("dihedral", in radians, or "distance", in nm), and its atoms, counted from 0."""

    name: str
    kind: str
    atoms: tuple[int, ...]

    @classmethod
    def parse(cls, words: list[str]) -> FeatureDefinition:
        """Read `NAME KIND ATOM…`; raises `ValueError` that says what is wrong."""
        if len(words) < 2 or words[1] not in ATOMS_OF_KIND:
            raise ValueError(f"feature {' '.join(words)!r}: the kind is one of {', '.join(ATOMS_OF_KIND)}.")
        name, kind, atoms = words[0], words[1], words[2:]
        if len(atoms) != ATOMS_OF_KIND[kind] or not all(atom.isdecimal() for atom in atoms):
            raise ValueError(f"feature {name!r}: a {kind} is given by {ATOMS_OF_KIND[kind]} atom numbers, counted from 0.")
        return cls(name, kind, tuple(map(int, atoms)))

    def measure(self, positions_nm: Array) -> float:
        """Return the feature in radians (−π…π) or nm for positions of shape (atoms, 3)."""
        points = [np.asarray(positions_nm[atom]) for atom in self.atoms]
        if self.kind == "distance":
            return float(np.linalg.norm(points[0] - points[1]))
        return dihedral(*points)


def dihedral(a: Array, b: Array, c: Array, d: Array) -> float:
    """Return the dihedral angle a–b–c–d in radians, −π…π, with the sign that IUPAC gives it."""
    axis = c - b
    axis = axis / np.linalg.norm(axis)
    first = (a - b) - np.dot(a - b, axis) * axis
    last = (d - c) - np.dot(d - c, axis) * axis
    return float(np.arctan2(np.dot(np.cross(axis, first), last), np.dot(first, last)))
