"""Hosts as batch systems write them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from copernicus.errors import UsageError
from copernicus.worker.hosts import at_most, expanded, hosts_of_allocation


@pytest.mark.parametrize(
    ("names", "hosts"),
    [
        ("n1", ["n1"]), ("n1,n2", ["n1", "n2"]), ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[08-10,2]x,y", ["n08x", "n09x", "n10x", "n2x", "y"]),
        ("a[1,3-4],b[2]", ["a1", "a3", "a4", "b2"]),
    ],
)  # fmt: skip
def test_lists_of_slurm_are_expanded(names: str, hosts: list[str]) -> None:
    assert expanded(names) == hosts


def test_hosts_of_an_allocation() -> None:
    slurm = {"SLURM_JOB_NODELIST": "n[1-3]", "SLURM_JOB_CPUS_PER_NODE": "8(x2),4"}
    assert hosts_of_allocation(slurm) == {"n1": 8, "n2": 8, "n3": 4}
    assert hosts_of_allocation(slurm | {"SLURM_JOB_CPUS_PER_NODE": "8"}) == {}, "they do not fit together"
    assert hosts_of_allocation({"LSB_MCPU_HOSTS": "a 2 b 3 c x"}) == {"a": 2, "b": 3}
    assert hosts_of_allocation({}) == {}


@given(st.text(), st.text())
def test_rubbish_gives_no_hosts_or_some_but_no_failure(names: str, counts: str) -> None:
    found = hosts_of_allocation({"SLURM_JOB_NODELIST": names, "SLURM_JOB_CPUS_PER_NODE": counts, "LSB_MCPU_HOSTS": counts})
    assert all(cores >= 0 for cores in found.values())


@given(st.dictionaries(st.text(), st.integers(1, 64), min_size=1), st.integers(1, 300))
def test_no_more_cores_are_taken_than_wanted(hosts: dict[str, int], cores: int) -> None:
    if cores > sum(hosts.values()):
        with pytest.raises(UsageError, match="Give -n less"):
            at_most(hosts, cores)
    else:
        taken = at_most(hosts, cores)
        assert sum(taken.values()) == cores
        assert all(0 < count <= hosts[host] for host, count in taken.items())
