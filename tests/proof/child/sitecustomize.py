"""Loaded by Python itself in every program of a system whose PYTHONPATH names this folder: the one that is doomed obeys."""

import os

if os.environ.get("PROOF_DOOM"):
    from tests.proof.doom import obey

    obey(os.environ["PROOF_DOOM"])
