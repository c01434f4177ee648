"""The molecule of the demo: alanine dipeptide (ACE-ALA-NME), built atom by atom from bond lengths, angles and dihedrals."""

from __future__ import annotations

from math import cos, pi, radians, sin, sqrt
from typing import NamedTuple

Point = tuple[float, float, float]

PHI = (4, 6, 8, 14)
"""Atoms of the backbone dihedral φ: C (ACE), N, CA, C."""
PSI = (6, 8, 14, 16)
"""Atoms of the backbone dihedral ψ: N, CA, C, N (NME)."""

START_REGIONS = {"beta": (-150.0, 155.0), "alpha_R": (-75.0, -45.0), "alpha_L": (55.0, 40.0), "PPII": (-75.0, 145.0)}
"""The four regions of the Ramachandran plane in which simulations start: (φ, ψ) in degrees."""


class _Atom(NamedTuple):
    """An atom `length` from `bonded`, at `angle` to `across`, at `dihedral` to `reference` (numbers of earlier atoms)."""

    name: str
    residue: str
    bonded: int
    across: int
    reference: int
    length: float
    angle: float
    dihedral: float


def alanine_dipeptide(phi: float, psi: float) -> str:
    """Return the molecule with the backbone dihedrals φ and ψ (degrees) as the text of a PDB file (lengths in Å)."""
    atoms = _internal_coordinates(phi, psi)
    points: dict[int, Point] = {}
    for number in _BUILD_ORDER:
        points[number] = _place(atoms[number], points)
    residues = {"ACE": 1, "ALA": 2, "NME": 3}
    lines = []
    for number, atom in enumerate(atoms):
        x, y, z = points[number]
        name = f" {atom.name:<3}" if len(atom.name) < 4 else atom.name
        lines.append(
            f"ATOM  {number + 1:5d} {name} {atom.residue} A{residues[atom.residue]:4d}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {atom.name[0]:>2}"
        )
    return "\n".join([*lines, "TER", "END", ""])


# Atoms in the order of the file; the methyl carbon comes first in space, so its hydrogens must wait.
_BUILD_ORDER = (1, 4, 6, 5, 0, 2, 3, 8, 7, 14, 10, 9, 16, 15, 11, 12, 13, 18, 17, 19, 20, 21)


def _internal_coordinates(phi: float, psi: float) -> list[_Atom]:
    """Return bond lengths (Å), angles and dihedrals (degrees) of all atoms, in the order of the file."""
    methyl, n_h, c_o, peptide = 1.09, 1.01, 1.229, 1.335
    return [
        _Atom("HH31", "ACE", 1, 4, 6, methyl, 109.5, 60.0),
        _Atom("CH3", "ACE", -1, -1, -1, 0.0, 0.0, 0.0),
        _Atom("HH32", "ACE", 1, 4, 6, methyl, 109.5, 180.0),
        _Atom("HH33", "ACE", 1, 4, 6, methyl, 109.5, -60.0),
        _Atom("C", "ACE", 1, -1, -1, 1.522, 0.0, 0.0),
        _Atom("O", "ACE", 4, 1, 6, c_o, 120.4, 180.0),
        _Atom("N", "ALA", 4, 1, -1, peptide, 116.6, 0.0),
        _Atom("H", "ALA", 6, 4, 1, n_h, 119.8, 0.0),
        _Atom("CA", "ALA", 6, 4, 1, 1.449, 121.9, 180.0),
        _Atom("HA", "ALA", 8, 6, 4, methyl, 109.5, phi + 119.0),
        _Atom("CB", "ALA", 8, 6, 4, 1.526, 109.7, phi - 122.0),
        _Atom("HB1", "ALA", 10, 8, 6, methyl, 109.5, 60.0),
        _Atom("HB2", "ALA", 10, 8, 6, methyl, 109.5, 180.0),
        _Atom("HB3", "ALA", 10, 8, 6, methyl, 109.5, -60.0),
        _Atom("C", "ALA", 8, 6, 4, 1.522, 111.0, phi),
        _Atom("O", "ALA", 14, 8, 6, c_o, 120.4, psi + 180.0),
        _Atom("N", "NME", 14, 8, 6, peptide, 116.6, psi),
        _Atom("H", "NME", 16, 14, 8, n_h, 119.8, 0.0),
        _Atom("CH3", "NME", 16, 14, 8, 1.449, 121.9, 180.0),
        _Atom("HH31", "NME", 18, 16, 14, methyl, 109.5, 60.0),
        _Atom("HH32", "NME", 18, 16, 14, methyl, 109.5, 180.0),
        _Atom("HH33", "NME", 18, 16, 14, methyl, 109.5, -60.0),
    ]


def _place(atom: _Atom, points: dict[int, Point]) -> Point:
    """Return where the atom is; the first three define the frame, the others follow from three earlier atoms."""
    if atom.bonded < 0:
        return (0.0, 0.0, 0.0)
    origin = points[atom.bonded]
    if atom.across < 0:
        return (atom.length, 0.0, 0.0)
    angle, dihedral = radians(atom.angle), radians(atom.dihedral)
    along = _unit(_minus(origin, points[atom.across]))
    if atom.reference < 0:
        return (origin[0] + atom.length * cos(pi - angle), atom.length * sin(pi - angle), 0.0)
    normal = _unit(_cross(_minus(points[atom.across], points[atom.reference]), along))
    aside = _cross(normal, along)
    forward, sideways, upwards = -cos(angle), sin(angle) * cos(dihedral), sin(angle) * sin(dihedral)
    x, y, z = (
        origin[axis] + atom.length * (forward * along[axis] + sideways * aside[axis] + upwards * normal[axis])
        for axis in range(3)
    )
    return (x, y, z)


def _minus(a: Point, b: Point) -> Point:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _cross(a: Point, b: Point) -> Point:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _unit(a: Point) -> Point:
    length = sqrt(a[0] ** 2 + a[1] ** 2 + a[2] ** 2)
    return (a[0] / length, a[1] / length, a[2] / length)
