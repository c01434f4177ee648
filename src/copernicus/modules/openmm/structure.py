"""PDB files as text: the same atoms at other positions."""

from __future__ import annotations

from typing import Any


def with_positions(pdb: str, positions_nm: Any) -> str:
    """Return the PDB text with the coordinates of its atoms, in order, replaced by these (nm, shape (atoms, 3)).

    Only the first model is kept. Raises `ValueError` when the numbers of atoms differ.
    """
    lines, atom = [], 0
    for line in pdb.splitlines():
        if line.startswith(("ATOM  ", "HETATM")):
            if atom >= len(positions_nm):
                raise ValueError(f"more atoms than the {len(positions_nm)} positions.")
            x, y, z = (10 * float(length) for length in positions_nm[atom])
            line = f"{line[:30]}{x:8.3f}{y:8.3f}{z:8.3f}{line[54:]}"
            atom += 1
        if line.startswith("ENDMDL"):
            break
        lines.append(line)
    if atom != len(positions_nm):
        raise ValueError(f"{atom} atoms for {len(positions_nm)} positions.")
    return "\n".join([*lines, ""] if lines[-1].startswith("END") else [*lines, "END", ""])
