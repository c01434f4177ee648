"""The demo's workload: adaptive sampling of alanine dipeptide, watched by a client that journals what it could read."""

from __future__ import annotations

import time
from typing import Any

from tests.proof.checker import Finding, judge_book, judge_seen
from tests.proof.evidence import read_book
from tests.proof.journal import Journal

from copernicus.demo.molecule import PHI, PSI, START_REGIONS, alanine_dipeptide
from copernicus.errors import Unavailable, UnknownPath
from copernicus.testing.system import System

GROWING = ("generation", "simulated_ns")
KEPT = ("trajectories", "features", "history")


class Sampling:
    """An instance `msm` of `msm::adaptive` in a project of `system`: watched, and judged at its end."""

    def __init__(self, system: System, project: str) -> None:
        self.system, self.project = system, project
        self.journal = Journal()

    @classmethod
    def begun(cls, system: System, generations: int) -> Sampling:
        """Start one over OpenMM simulations of 10 ps, with `generations` models of 20 simulations each."""
        sampling = cls(system, "sampling")
        confs = []
        for name, (phi, psi) in START_REGIONS.items():
            path = system.folder / f"{name}.pdb"
            path.write_text(alanine_dipeptide(phi, psi), encoding="utf-8")
            confs.append(path)
        features = [{"name": name, "kind": "dihedral", "atoms": list(atoms)} for name, atoms in (("phi", PHI), ("psi", PSI))]
        with system.client() as client:
            project = client.start_project(sampling.project)
            with project.transaction() as change:
                change.import_module("msm")
                change.instance("msm::adaptive", "msm")
                for place, value in {
                    "confs": confs, "features": features, "num_sim": 4, "segment_ns": 0.01, "recluster": 0.2,
                    "num_generations": generations, "samples": 5, "num_macrostates": 2,
                }.items():  # fmt: skip
                    change.set(f"msm:in.{place}", value)
                change.activate()
        return sampling

    def look(self) -> dict[str, Any]:
        """Read the outputs and journal them: what grows may not shrink, what was collected stays in its place."""
        with self.system.client() as client:
            try:
                outputs = client.project(self.project).get("msm:out")
            except Unavailable:
                return {}
        if not isinstance(outputs, dict):
            return {}
        for name in GROWING:
            if outputs[name] is not None and outputs[name] < self.journal.seen.get(name, 0):
                self.journal.changed.append(f"{name} was {self.journal.seen[name]} and became {outputs[name]}")
            self.journal.seen[name] = outputs[name] or 0
        for name in KEPT:
            for index, value in enumerate(outputs[name] or []):
                self.journal.see(f"{name}[{index}]", str(value))
        return outputs

    def has_begun(self) -> bool:
        """Say whether the project is there, and its instance."""
        with self.system.client() as client:
            try:
                return any(row.path == "msm" for row in client.project(self.project).status().top)
            except (Unavailable, UnknownPath):
                return False

    def is_finished(self) -> bool:
        """Say whether the final report is there, or something is in error."""
        if self.look().get("is_finished"):
            return True
        with self.system.client() as client:
            try:
                return bool(client.project(self.project).status().errors)
            except Unavailable:
                return False

    def judge(self, deadline_s: float = 240.0) -> list[Finding]:
        """Wait for the end (or the deadline), stop the server, and judge what it left."""
        ends_at = time.monotonic() + deadline_s
        while not self.is_finished() and time.monotonic() < ends_at:
            time.sleep(0.2)
        outputs = self.look()
        with self.system.client() as client:
            errors = client.project(self.project).status().errors
        self.system.stop()
        evidence = read_book(self.system.projects / "book.sqlite", self.project)
        findings = [Finding("unexpected", f"{row.path}: {row.why}") for row in errors]
        if not outputs.get("is_finished"):
            findings.append(Finding("stuck", f"generation {outputs.get('generation')}, no report"))
        trajectories = outputs.get("trajectories") or []
        if len({str(trajectory) for trajectory in trajectories}) < len(trajectories):
            findings.append(Finding("doubled", "a trajectory was collected twice"))
        return [*findings, *judge_book(evidence), *judge_seen(self.journal)]
