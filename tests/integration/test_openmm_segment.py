"""The program of openmm::segment with real OpenMM: what it writes, the same again for a seed, an interruption unseen."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from copernicus.demo.molecule import PHI, PSI, START_REGIONS, alanine_dipeptide
from copernicus.modules.openmm.functions import Feature, minimize, segment
from copernicus.testing import call_command, fake_file

np = pytest.importorskip("numpy", reason="needs the package numpy (an extra)")
pytest.importorskip("openmm", reason="needs the package openmm (an extra)")

from copernicus.modules.openmm.dcd import DcdWriter, count_frames, read_frame  # noqa: E402
from copernicus.modules.openmm.features import dihedral  # noqa: E402
from copernicus.modules.openmm.molecule import DEFAULT_FORCEFIELD, Molecule  # noqa: E402
from copernicus.modules.openmm.program import main  # noqa: E402

pytestmark = pytest.mark.openmm

FEATURES = [
    Feature("phi", "dihedral", list(PHI)),
    Feature("psi", "dihedral", list(PSI)),
    Feature("end_to_end", "distance", [1, 18]),
]
PROGRAM = [sys.executable, "-m", "copernicus.modules.openmm.program"]


@pytest.fixture
def structure(tmp_path: Path) -> Path:
    path = tmp_path / "start.pdb"
    path.write_text(alanine_dipeptide(*START_REGIONS["PPII"]))
    return path


def arguments(structure: Path, length_ps: float, seed: int = 5, positions: Path | None = None, frame: int = 0) -> list[str]:
    """The argv that the command gives its job, with real files in place of staged ones."""
    job = call_command(
        segment, structure=fake_file("start.pdb", "s"), length_ps=length_ps, features=FEATURES, seed=seed, with_energy=True,
        positions=fake_file("end.npz", "p") if positions else None, positions_frame=frame,
    )  # fmt: skip
    return [{"structure.pdb": str(structure), "positions.npz": str(positions)}.get(word, word) for word in job.arguments]


def run_in(folder: Path, argv: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Run the program in this process; return what it wrote."""
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        assert main(argv) == 0
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_frames_features_and_end_agree(structure: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = run_in(tmp_path / "a", arguments(structure, 2.0), monkeypatch)
    assert set(written) == {"features.npz", "trajectory.dcd", "end.npz", "energy.csv", "segment.npz"}
    features, end = np.load("features.npz"), np.load("end.npz")
    assert count_frames(Path("trajectory.dcd")) == 11
    assert {name: features[name].shape for name in features} == dict.fromkeys(("phi", "psi", "end_to_end"), (11, 1))
    start, last = read_frame(Path("trajectory.dcd"), 0), read_frame(Path("trajectory.dcd"), 10)
    assert np.degrees(features["phi"][0, 0]) == pytest.approx(START_REGIONS["PPII"][0], abs=0.5)
    assert np.abs(last - end["positions"]).max() < 1e-6
    assert features["phi"][10, 0] == pytest.approx(dihedral(*last[list(PHI)]), abs=1e-4)
    assert features["end_to_end"][0, 0] == pytest.approx(np.linalg.norm(start[1] - start[18]), abs=1e-5)
    assert written["energy.csv"].count(b"\n") == 12


def test_the_same_seed_gives_the_same_bytes(structure: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, other = (
        run_in(tmp_path / name, arguments(structure, 2.0, seed), monkeypatch) for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert first == again
    assert first["features.npz"] != other["features.npz"]


def test_it_starts_from_an_end_or_from_any_frame(structure: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_in(tmp_path / "a", arguments(structure, 2.0), monkeypatch)
    run_in(tmp_path / "b", arguments(structure, 1.0, positions=tmp_path / "a" / "end.npz"), monkeypatch)
    assert np.load("features.npz")["phi"][0, 0] == np.load(tmp_path / "a" / "features.npz")["phi"][10, 0]
    run_in(tmp_path / "c", arguments(structure, 1.0, positions=tmp_path / "a" / "trajectory.dcd", frame=4), monkeypatch)
    assert np.load("features.npz")["phi"][0, 0] == pytest.approx(
        np.load(tmp_path / "a" / "features.npz")["phi"][4, 0], abs=1e-3
    )


def test_a_longer_run_goes_on_from_the_end_of_a_shorter_one(
    structure: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_in(tmp_path / "whole", arguments(structure, 20.0), monkeypatch)
    run_in(tmp_path / "short", arguments(structure, 10.0), monkeypatch)
    for name in ("segment.npz", "trajectory.dcd"):  # the checkpoint, as the job declares it
        (tmp_path / "long").mkdir(exist_ok=True)
        (tmp_path / "short" / name).rename(tmp_path / "long" / name)
    longer = run_in(tmp_path / "long", arguments(structure, 20.0), monkeypatch)
    assert count_frames(Path("trajectory.dcd")) == 101
    assert {name: longer[name] == whole[name] for name in whole} == dict.fromkeys(whole, True)


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(structure: Path, tmp_path: Path) -> None:
    argv = arguments(structure, 60.0)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    assert subprocess.run([*PROGRAM, *argv], cwd=whole, capture_output=True, check=False).returncode == 0

    statuses = []
    for _ in range(50):
        process = subprocess.Popen([*PROGRAM, *argv], cwd=parts, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        trajectory, size = parts / "trajectory.dcd", _size(parts / "trajectory.dcd")
        while len(statuses) < 2 and process.poll() is None and _size(trajectory) <= size:  # until it has written frames
            time.sleep(0.005)
        if len(statuses) < 2:
            process.send_signal(signal.SIGTERM)
        process.communicate()
        statuses.append(process.returncode)
        if process.returncode == 0:
            break
    assert statuses[:-1] == [75, 75]
    assert statuses[-1] == 0
    for name in ("features.npz", "trajectory.dcd", "end.npz", "energy.csv"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_frames_after_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "t.dcd"
    frames = np.random.default_rng(1).random((5, 3, 3))
    writer = DcdWriter(path, 3, 0.2)
    for frame in frames:
        writer.append(frame)
    writer.close()
    writer = DcdWriter(path, 3, 0.2, frames=2)
    writer.append(frames[4])
    writer.close()
    assert count_frames(path) == 3
    assert np.abs(read_frame(path, 2) - frames[4]).max() < 1e-6
    with pytest.raises(IndexError):
        read_frame(path, 3)


def test_the_start_structures_are_where_they_claim_to_be_and_relax_nearby(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, (phi, psi) in START_REGIONS.items():
        Path("s.pdb").write_text(alanine_dipeptide(phi, psi))
        job = call_command(minimize, structure=fake_file("s.pdb", "x"))
        assert main(["s.pdb" if word == "structure.pdb" else word for word in job.arguments]) == 0
        before = Molecule(Path("s.pdb"), DEFAULT_FORCEFIELD).positions_nm
        after = Molecule(Path("minimized.pdb"), DEFAULT_FORCEFIELD).positions_nm
        for angle, atoms in ((phi, PHI), (psi, PSI)):
            assert math.degrees(dihedral(*before[list(atoms)])) == pytest.approx(angle, abs=0.5)
            moved = math.degrees(dihedral(*after[list(atoms)])) - angle
            assert abs((moved + 180) % 360 - 180) < 40, name
        # N, C and Cβ seen from the hydrogen of Cα go clockwise: it is L-alanine.
        n, ca, c, cb = (after[atom] for atom in (6, 8, 14, 10))
        assert np.dot(np.cross(n - ca, c - ca), cb - ca) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--length-ps": "0.3"}, "not a whole number of frames"),
        ({"--forcefield": "nowhere.xml"}, "nowhere.xml"),
        ({"--structure": "nowhere.pdb"}, "nowhere.pdb"),
        ({"--timestep-fs": "7"}, "cannot be made with steps"),
        ({"--platform": "Abacus"}, "Abacus"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(change: dict[str, str], message: str, structure: Path, tmp_path: Path) -> None:
    argv = ["segment", "--structure", str(structure), "--length-ps", "1.0"]
    for flag, value in change.items():
        if flag in argv:
            argv[argv.index(flag) + 1] = value
        else:
            argv += [flag, value]
    done = subprocess.run(
        [*PROGRAM, *argv], cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
