"""A worker in an allocation of a batch system, started by the script that it prints itself."""

from __future__ import annotations

import subprocess
import time

from copernicus.testing.system import System

MIB = 1024**2


def test_a_worker_offers_what_the_batch_system_gave(system: System) -> None:
    system.setup()
    system.start()
    printed = system.run(["cpc-worker", "script", "slurm", "-n", "1", "--time-left", "90m", "-q", "0.02", "-s", "1"])
    script = system.folder / "worker.sh"
    script.write_text(printed.stdout)
    assert "sbatch FILE" in printed.stderr
    slurm = {
        "SLURM_JOB_ID": "5", "SLURM_CPUS_ON_NODE": "1", "SLURM_MEM_PER_NODE": "100", "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_END_TIME": str(int(time.time()) + 1000), "SLURM_CLUSTER_NAME": "tin",
    }  # fmt: skip
    worker = subprocess.Popen(
        ["bash", str(script)], cwd=system.folder, env=system.environment | slurm, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        (row,) = system.until(lambda: system.ask("workers"), what="the worker has come")
        printed_by, _ = worker.communicate(timeout=60)
    finally:
        worker.kill()
        worker.wait()
    offer = row["offer"]
    assert (offer["cores"], offer["cores_per_job"], offer["memory_bytes"], offer["site"]) == (1, 1, 100 * MIB, "tin")
    assert 500 < offer["time_left_s"] <= 940, "it leaves a minute before the end"
    assert "Allocation: Slurm job 5 on 2 hosts; here 1 core, 0.105 GB, 17 minutes left" in printed_by
    assert "Note: of 2 hosts this worker uses one." in printed_by
    assert "Leaving: there was nothing to do" in printed_by
    assert worker.returncode == 0
