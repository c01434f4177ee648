"""One simulation segment: start, frames, checkpoint, end; a run that was interrupted goes on as if it had not been."""

from __future__ import annotations

import csv
import platform as machine
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import openmm
import openmm.app
from openmm import unit

from copernicus.modules.openmm.dcd import DcdWriter, read_frame
from copernicus.modules.openmm.features import FeatureDefinition
from copernicus.modules.openmm.molecule import Molecule

INTERRUPTED = 75
"""Exit status of a run that was asked to stop and has left a checkpoint."""

TRAJECTORY, FEATURES, END, ENERGY = Path("trajectory.dcd"), Path("features.npz"), Path("end.npz"), Path("energy.csv")
CHECKPOINT = Path("segment.npz")

_CHECKPOINT_EVERY_S = 60.0
_TELL_EVERY_S = 10.0
_STEPS_AT_ONCE = 250  # between two looks at whether we are asked to stop


@dataclass(frozen=True)
class SegmentSettings:
    """What to simulate; the units stand in the names."""

    structure: Path
    forcefield: tuple[str, ...]
    length_ps: float
    frame_ps: float
    timestep_fs: float
    temperature_k: float
    friction_per_ps: float
    seed: int
    positions: Path | None
    positions_frame: int
    features: tuple[FeatureDefinition, ...]
    with_energy: bool
    platform: str

    @property
    def steps_per_frame(self) -> int:
        """Integration steps between two frames; raises `ValueError` when the times do not fit together."""
        steps = round(self.frame_ps * 1000 / self.timestep_fs)
        if steps < 1 or abs(steps * self.timestep_fs - self.frame_ps * 1000) > 1e-6 * self.timestep_fs:
            raise ValueError(f"frames every {self.frame_ps} ps cannot be made with steps of {self.timestep_fs} fs.")
        return steps

    @property
    def frames(self) -> int:
        """Frames after the first one; raises `ValueError` when the length is not a whole number of frames."""
        frames = round(self.length_ps / self.frame_ps)
        if frames < 1 or abs(frames * self.frame_ps - self.length_ps) > 1e-6 * self.frame_ps:
            raise ValueError(f"a length of {self.length_ps} ps is not a whole number of frames of {self.frame_ps} ps.")
        return frames


class Segment:
    """A simulation under way. Frame 0 is the start, frame n the state after n times `frame_ps`."""

    def __init__(self, settings: SegmentSettings) -> None:
        self.settings = settings
        self.molecule = Molecule(settings.structure, settings.forcefield, settings.timestep_fs)
        self.integrator = openmm.LangevinMiddleIntegrator(
            settings.temperature_k, settings.friction_per_ps, settings.timestep_fs / 1000
        )
        self.integrator.setRandomNumberSeed(_openmm_seed(settings.seed))
        self.context = self.molecule.context(self.integrator, settings.platform)
        self.engine = f"{openmm.version.full_version} {self.context.getPlatform().getName()} {machine.machine()}"
        self.step = 0
        self.rows: list[list[float]] = []  # per frame: the features, then potential energy in kJ/mol
        if CHECKPOINT.exists() and TRAJECTORY.exists():
            self._read_checkpoint()
        else:
            self._start()

    def run(self, is_stopping: Any) -> bool:
        """Simulate to the end and return True, or leave a checkpoint and return False once `is_stopping()` says so."""
        settings = self.settings
        total = settings.frames * settings.steps_per_frame
        saved = told = time.monotonic()
        while self.step < total:
            into_frame = self.step % settings.steps_per_frame
            steps = min(_STEPS_AT_ONCE, settings.steps_per_frame - into_frame)
            self.integrator.step(steps)
            self.step += steps
            if self.step % settings.steps_per_frame == 0:
                self._record()
            now = time.monotonic()
            if is_stopping() or now - saved > _CHECKPOINT_EVERY_S:
                self._write_checkpoint()
                saved = now
                if is_stopping():
                    return False
            if now - told > _TELL_EVERY_S:
                print(f"{self.step * settings.timestep_fs / 1000:g} of {settings.length_ps:g} ps", flush=True)
                told = now
        self._finish()
        return True

    def _start(self) -> None:
        positions, velocities = self.molecule.positions_nm, None
        if self.settings.positions is not None:
            positions, velocities = _read_positions(self.settings.positions, self.settings.positions_frame)
        if positions.shape != self.molecule.positions_nm.shape:
            raise ValueError(f"{len(positions)} positions for a structure of {len(self.molecule.positions_nm)} atoms.")
        self.context.setPositions(positions)
        if velocities is None:
            self.context.applyConstraints(1e-6)
            self.context.setVelocitiesToTemperature(self.settings.temperature_k, _openmm_seed(self.settings.seed))
        else:
            self.context.setVelocities(velocities)
        self.trajectory = DcdWriter(TRAJECTORY, len(positions), self.settings.frame_ps)
        self._record()

    def _record(self) -> None:
        state = self.context.getState(getPositions=True, getEnergy=self.settings.with_energy)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        if not np.isfinite(positions).all():
            raise ValueError(
                f"the simulation blew up before {self.step * self.settings.timestep_fs / 1000:g} ps: positions are not finite; "
                "minimise the structure first, or take a shorter time step."
            )
        self.trajectory.append(positions)
        row = [feature.measure(positions) for feature in self.settings.features]
        if self.settings.with_energy:
            row.append(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))
        self.rows.append(row)

    def _write_checkpoint(self) -> None:
        self.trajectory.flush()
        state = self.context.getState(getPositions=True, getVelocities=True)
        arrays = {
            "step": np.array(self.step),
            "rows": np.array(self.rows),
            "positions": state.getPositions(asNumpy=True).value_in_unit(unit.nanometer),
            "velocities": state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond),
            "context": np.frombuffer(self.context.createCheckpoint(), dtype=np.uint8),
            "engine": np.array(self.engine),
        }
        fresh = CHECKPOINT.with_suffix(".new.npz")
        np.savez(fresh, **arrays)
        fresh.replace(CHECKPOINT)  # at once: whoever stops us in the middle finds the last whole one

    def _read_checkpoint(self) -> None:
        with np.load(CHECKPOINT, allow_pickle=False) as saved:
            self.step = int(saved["step"])
            self.rows = saved["rows"].tolist()
            if str(saved["engine"]) == self.engine:
                self.context.setPositions(saved["positions"])
                self.context.loadCheckpoint(saved["context"].tobytes())  # random numbers too: bit for bit as without a stop
            else:
                self.integrator.setRandomNumberSeed(_openmm_seed(self.settings.seed + self.step))
                self.context.reinitialize()
                self.context.setPositions(saved["positions"])
                self.context.setVelocities(saved["velocities"])
        frames = self.step // self.settings.steps_per_frame + 1
        self.trajectory = DcdWriter(TRAJECTORY, len(self.molecule.positions_nm), self.settings.frame_ps, frames)
        print(f"Continued from {self.step * self.settings.timestep_fs / 1000:g} ps.")

    def _finish(self) -> None:
        self._write_checkpoint()  # a longer run goes on from here
        self.trajectory.close()
        rows = np.array(self.rows)
        names = [feature.name for feature in self.settings.features]
        np.savez(FEATURES, **{name: rows[:, [column]] for column, name in enumerate(names)})
        if self.settings.with_energy:
            with ENERGY.open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file)
                table.writerow(["time_ps", "potential_kj_per_mol"])
                table.writerows((f"{i * self.settings.frame_ps:g}", f"{e:.4f}") for i, e in enumerate(rows[:, -1]))
        state = self.context.getState(getPositions=True, getVelocities=True)
        np.savez(
            END,
            positions=state.getPositions(asNumpy=True).value_in_unit(unit.nanometer),
            velocities=state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond),
        )


def run_segment(settings: SegmentSettings) -> int:
    """Simulate in the current folder; return the exit status. SIGTERM and SIGINT stop it with a checkpoint."""
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    begun = time.monotonic()
    if not Segment(settings).run(lambda: bool(asked)):
        print("Stopped on request; a checkpoint was written.")
        return INTERRUPTED
    print(f"{settings.length_ps:g} ps, seed {settings.seed}, in {time.monotonic() - begun:.2f} s")
    return 0


def _read_positions(path: Path, frame: int) -> tuple[Any, Any]:
    """Return positions (nm) and, where the file has them, velocities (nm/ps)."""
    if path.suffix == ".dcd":
        return read_frame(path, frame), None
    if path.suffix == ".pdb":
        pdb = openmm.app.PDBFile(str(path))
        return np.array(pdb.getPositions(asNumpy=True).value_in_unit(unit.nanometer)), None
    with np.load(path, allow_pickle=False) as saved:
        return saved["positions"], saved.get("velocities")


def _openmm_seed(seed: int) -> int:
    """Return a seed that OpenMM takes at its word: 31 bits, and not 0, which would mean "another one each time"."""
    return 1 + seed % (2**31 - 2)
