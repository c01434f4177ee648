"""A part of the proof, run as it is by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.house.source import ROOT

DEADLINE_S = 300.0


def go(part: str, *flags: str) -> tuple[int, dict[str, Any]]:
    """Run a part; return its exit status and its result."""
    command = [sys.executable, "-m", f"tests.proof.{part}", "--json", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    result: dict[str, Any] = json.loads(lines[-1])
    if result["skipped"]:
        pytest.skip(result["skipped"])
    return done.returncode, result
