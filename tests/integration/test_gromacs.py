"""The gromacs module with the real program: job descriptions of its commands, run by the worker's own attempts."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.water_box import make_water_box

from copernicus.blobs.hashing import hash_bytes
from copernicus.model.jobs import JobDescription, LeasedJob, Report, StagedFile
from copernicus.model.values import FileRef
from copernicus.modules.gromacs.functions import Setting, grompp, join_parts, mdrun_parts, mdrun_tune
from copernicus.plugin import registry
from copernicus.plugin.functions import File
from copernicus.testing.authors import call_command
from copernicus.worker.folder import WorkFolder
from copernicus.worker.platforms.smp import Smp
from copernicus.worker.shelf import Shelf
from copernicus.worker.workload import Attempt, Tools

pytestmark = [pytest.mark.gromacs, pytest.mark.skipif(shutil.which("gmx") is None, reason="there is no gmx here")]


class Bench:
    """One slot of a worker without a server: the shelf is where everything comes from and goes to."""

    def __init__(self, folder: Path) -> None:
        self.shelf = Shelf(folder / "shelf", self._missing)
        self.tools = Tools("bench", Smp(1), self.shelf)
        self.work = WorkFolder(folder / "work", "0")
        self.programs = {found.executable.name: found for found in registry.executables()[0]}
        self.attempt = 0

    @staticmethod
    def _missing(file: FileRef, path: Path) -> None:
        raise AssertionError(f"{file.name} is not on the shelf")

    def file(self, path: Path) -> File:
        ref = self.shelf.blobs.put_file(path)
        return File(ref.blob, ref.size, ref.name)

    def start(self, job: JobDescription, checkpoint: tuple[StagedFile, ...] = (), cores: int = 1) -> Attempt:
        self.attempt += 1
        lease = LeasedJob(1, self.attempt, "p", "x", job, cores, checkpoint)
        return Attempt(lease, self.programs.get(job.executable), cores, self.tools)

    def run(self, attempt: Attempt) -> Report:
        ended = attempt.run(self.work)
        for data in ended.parcel.inline.values():
            self.shelf.blobs.put_bytes(data)
        return ended.report

    def finish(self, job: JobDescription, checkpoint: tuple[StagedFile, ...] = ()) -> dict[str, Any]:
        report = self.run(self.start(job, checkpoint))
        assert report.outcome == "finished", (report.error, report.stderr_tail)
        return {name: _files(value) for name, value in report.outputs.items()}

    def text(self, file: File) -> str:
        return self.shelf.blobs.read_bytes(file.blob).decode()


def _files(value: Any) -> Any:
    if isinstance(value, list):
        return [_files(item) for item in value]
    return File(value["blob"], value["size"], value["name"]) if isinstance(value, dict) and "blob" in value else value


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_water_box(tmp_path_factory.mktemp("water"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def prepare(bench: Bench, box: Path, **settings: str) -> File:
    conf, mdp, top = (bench.file(box / name) for name in ("conf.gro", "grompp.mdp", "topol.top"))
    chosen = [Setting(name.replace("_", "-"), value) for name, value in settings.items()]
    tpr = bench.finish(call_command(grompp, conf, mdp, top, settings=chosen))["tpr"]
    assert isinstance(tpr, File)
    return tpr


def wait_for(happened: Callable[[], object]) -> None:
    """Return when it has happened; a test that waits in vain fails after a generous minute."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def interrupt(bench: Bench, job: JobDescription, checkpoint: tuple[StagedFile, ...], how: Callable[[Attempt], None]) -> Report:
    """Start an attempt, and end it when it has written a checkpoint of its own."""
    attempt = bench.start(job, checkpoint)
    before = {staged.file.blob for staged in checkpoint}
    reports: list[Report] = []
    thread = threading.Thread(target=lambda: reports.append(bench.run(attempt)))
    thread.start()

    def has_new_checkpoint() -> bool:
        path = bench.work.path / "state.cpt"
        return reports != [] or (path.is_file() and hash_bytes(path.read_bytes()) not in before)

    wait_for(has_new_checkpoint)
    how(attempt)
    thread.join(60)
    assert reports, "the attempt did not end"
    return reports[0]


def kill(attempt: Attempt) -> None:
    """As when the machine runs out of memory."""
    attempt.stop("wall time", 0.0)


def test_a_simulation_that_is_stopped_and_killed_goes_on_and_its_parts_are_joined(bench: Bench, box: Path) -> None:
    job = call_command(mdrun_parts, prepare(bench, box, nsteps="8000"), 0, ["-cpt", "0.005"])
    stopped = interrupt(bench, job, (), lambda attempt: attempt.stop("leaving"))
    assert stopped.outcome == "interrupted", stopped.stderr_tail
    assert {"state.cpt", "traj_comp.part0001.xtc"} <= {staged.name for staged in stopped.checkpoint}
    killed = interrupt(bench, job, stopped.checkpoint, kill)
    assert killed.outcome == "interrupted", killed.stderr_tail
    parts = bench.finish(job, killed.checkpoint)
    assert len(parts["xtc"]) == 3
    assert parts["trr"] == []
    joined = bench.finish(call_command(join_parts, **parts))
    assert joined["conf"].name == "confout.gro"
    expected = [round(0.1 * number, 3) for number in range(161)]
    assert frames(bench, joined["xtc"]) == expected
    stopped_at = energies(bench, joined["edr"])
    # GROMACS writes the energies of the step at which it was stopped, too.
    assert stopped_at == sorted(set(stopped_at))
    assert set(expected) <= set(stopped_at)


def test_a_longer_simulation_goes_on_where_the_shorter_one_ended(bench: Bench, box: Path) -> None:
    """10,000 steps in three lengths: to its end, further until it is stopped, and further still."""
    tpr = prepare(bench, box, nsteps="123")

    def job(nsteps: int) -> JobDescription:
        return call_command(mdrun_parts, tpr, 0, ["-cpt", "0.005"], nsteps=nsteps)

    assert job(500).argv == job(10000).argv
    short = bench.run(bench.start(job(500)))
    assert (short.outcome, len(short.outputs["xtc"])) == ("finished", 1), short.stderr_tail
    assert "state.cpt" in {staged.name for staged in short.checkpoint}
    assert not any(staged.name.startswith("confout") for staged in short.checkpoint), "the longer one would seem finished"
    stopped = interrupt(bench, job(8000), short.checkpoint, lambda attempt: attempt.stop("unwanted"))
    assert stopped.outcome == "interrupted", stopped.stderr_tail
    parts = bench.finish(job(10000), stopped.checkpoint)
    assert len(parts["xtc"]) == 3
    joined = bench.finish(call_command(join_parts, **parts))
    expected = [round(0.1 * number, 3) for number in range(201)]
    assert frames(bench, joined["xtc"]) == expected
    assert set(expected) <= set(energies(bench, joined["edr"]))
    (bench.work.path.parent / "joined.xtc").write_bytes(bench.shelf.blobs.read_bytes(joined["xtc"].blob))
    told = subprocess.run(
        ["gmx", "-quiet", "check", "-f", "joined.xtc"], cwd=bench.work.path.parent, capture_output=True, text=True, check=True
    ).stderr
    assert re.search(r"^Step\s+201\s+0\.1$", told, re.MULTILINE), told
    assert "Timesteps at" not in told, "gmx check has found frames that do not follow each other"


def test_one_part_is_the_whole(bench: Bench, box: Path) -> None:
    parts = bench.finish(call_command(mdrun_parts, prepare(bench, box), 0))
    joined = bench.finish(call_command(join_parts, **parts))
    assert joined["xtc"].blob == parts["xtc"][0].blob
    assert joined["xtc"].name == "traj.xtc"
    assert "trr" not in joined
    assert "Finished mdrun" in bench.text(joined["log"])


def test_settings_take_the_place_of_parameters(bench: Bench, box: Path) -> None:
    tpr = prepare(bench, box, nsteps="50", NSTXOUT="10", nstxout_compressed="0")
    parts = bench.finish(call_command(mdrun_parts, tpr))
    assert parts["xtc"] == []
    assert len(parts["trr"]) == 1


def test_a_simulation_is_measured_on_each_number_of_cores(bench: Bench, box: Path) -> None:
    bench.tools = dataclasses.replace(bench.tools, platform=Smp(2))
    given = {name: bench.file(box / file) for name, file in (("conf", "conf.gro"), ("mdp", "grompp.mdp"), ("top", "topol.top"))}
    job = call_command(mdrun_tune, **given, settings=[Setting("nsteps", "10")], seconds=2.0)
    assert (job.resources.cores_min, job.resources.cores_max) == (1, None)
    report = bench.run(bench.start(job, cores=2))
    assert report.outcome == "finished", report
    speeds, resources = report.outputs["speeds"], report.outputs["resources"]
    assert [speed["cores"] for speed in speeds] == [1, 2]
    assert all(speed["ns_per_day"] > 0 for speed in speeds)
    assert 1 <= resources["cores_min"] <= resources["cores_max"] <= 2
    wrong = bench.run(bench.start(call_command(mdrun_tune, **given, cmdline_options=["-nonsense"], seconds=1.0)))
    assert (wrong.outcome, wrong.exit_status) == ("failed", 1)
    assert "runs on no number of cores" in wrong.stderr_tail


def test_the_message_of_gromacs_comes_back(bench: Bench, box: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gro"
    broken.write_text("no structure\n3 atoms?\n")
    mdp, top = bench.file(box / "grompp.mdp"), bench.file(box / "topol.top")
    report = bench.run(bench.start(call_command(grompp, bench.file(broken), mdp, top)))
    assert report.outcome == "failed"
    assert "Fatal error" in report.stderr_tail
    report = bench.run(bench.start(call_command(mdrun_parts, bench.file(broken))))
    assert report.outcome == "failed"


def test_an_unknown_option_fails_at_once(bench: Bench, box: Path) -> None:
    job = call_command(mdrun_parts, prepare(bench, box), 0, ["-nonsense"])
    report = bench.run(bench.start(job))
    assert report.outcome == "failed"
    assert "nonsense" in report.stderr_tail


def frames(bench: Bench, xtc: File) -> list[float]:
    """The times of all frames, ps."""
    return times(bench, xtc, "frames.xtc", "-f")


def energies(bench: Bench, edr: File) -> list[float]:
    """The times of all energy frames, ps."""
    return times(bench, edr, "frames.edr", "-e")


def times(bench: Bench, file: File, name: str, flag: str) -> list[float]:
    folder = bench.work.path.parent
    path = folder / name
    path.unlink(missing_ok=True)
    path.write_bytes(bench.shelf.blobs.read_bytes(file.blob))
    done = subprocess.run(["gmx", "-quiet", "dump", flag, name], cwd=folder, capture_output=True, text=True, check=True)
    found = re.findall(r"time=\s*(\S+)|^\s*time:\s*(\S+)", done.stdout, re.MULTILINE)
    return [round(float(one or other), 3) for one, other in found]
