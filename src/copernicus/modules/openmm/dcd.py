"""DCD trajectories: written frame by frame, cut back to a known length, read one frame at a time."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Array = Any  # numpy arrays; numpy is an extra, so types do not depend on it

_TITLE = b"Written by Copernicus".ljust(80)
_HEADER_BYTES = 92 + 92 + 12
_ANGSTROM_PER_NM = 10.0


class DcdWriter:
    """A trajectory that grows; it may be opened again, cut to `frames` frames, and go on.

    The file is little-endian, single precision, without unit cells: what VMD, MDTraj and MDAnalysis call CHARMM's.
    """

    def __init__(self, path: Path, atoms: int, frame_ps: float, frames: int = 0) -> None:
        self.frames = frames
        self._atoms, self._frame_ps = atoms, frame_ps
        self._file: BinaryIO = path.open("r+b" if frames else "w+b")
        self._file.truncate(_HEADER_BYTES + frames * _frame_bytes(atoms))
        self._write_header()
        self._file.seek(0, 2)

    def append(self, positions_nm: Array) -> None:
        """Append one frame: positions in nm, shape (atoms, 3)."""
        columns = np.ascontiguousarray(np.asarray(positions_nm).T * _ANGSTROM_PER_NM, dtype="<f4")
        mark = struct.pack("<i", 4 * self._atoms)
        self._file.write(b"".join(mark + column.tobytes() + mark for column in columns))
        self.frames += 1

    def flush(self) -> None:
        """Make the file complete up to the last frame (the header counts the frames)."""
        self._write_header()
        self._file.seek(0, 2)
        self._file.flush()

    def close(self) -> None:
        """Complete and close the file."""
        self.flush()
        self._file.close()

    def _write_header(self) -> None:
        akma_ps = 0.0488882129
        control = [self.frames, 1, 1, self.frames, 0, 0, 0, 0, 0]
        body = (
            b"CORD"
            + struct.pack("<9i", *control)
            + struct.pack("<f", self._frame_ps / akma_ps)
            + struct.pack("<10i", *([0] * 9), 24)
        )
        self._file.seek(0)
        self._file.write(struct.pack("<i", 84) + body + struct.pack("<i", 84))
        self._file.write(struct.pack("<2i", 84, 1) + _TITLE + struct.pack("<i", 84))
        self._file.write(struct.pack("<3i", 4, self._atoms, 4))


def count_frames(path: Path) -> int:
    """Return the number of whole frames that a file written here holds; raises `ValueError` for another kind of file."""
    with path.open("rb") as file:
        atoms = _read_atoms(file, path)
    return (path.stat().st_size - _HEADER_BYTES) // _frame_bytes(atoms)


def read_frame(path: Path, number: int) -> Array:
    """Return frame `number` (from 0): positions in nm, float64, shape (atoms, 3).

    Raises `ValueError` for a file not written by `DcdWriter`, `IndexError` where there is no such frame.
    """
    if number < 0:
        raise IndexError(f"frames are counted from 0, so there is no frame {number}.")
    with path.open("rb") as file:
        atoms = _read_atoms(file, path)
        file.seek(_HEADER_BYTES + number * _frame_bytes(atoms))
        data = file.read(_frame_bytes(atoms))
    if len(data) < _frame_bytes(atoms):
        raise IndexError(f"{path.name} has no frame {number}.")
    words = np.frombuffer(data, dtype="<f4").reshape(3, atoms + 2)[:, 1:-1]
    return words.T.astype(np.float64) / _ANGSTROM_PER_NM


def _read_atoms(file: BinaryIO, path: Path) -> int:
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or header[4:8] != b"CORD" or header[100:180] != _TITLE:
        raise ValueError(f"{path.name} is not a trajectory of openmm::segment.")
    return int(struct.unpack("<i", header[-8:-4])[0])


def _frame_bytes(atoms: int) -> int:
    return 3 * (4 * atoms + 8)
