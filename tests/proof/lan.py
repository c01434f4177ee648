"""Machines of their own for real programs: network namespaces joined by a bridge, and what goes wrong between them.

All of it lives in a network namespace of the calling process, which `isolate` enters first, and in children of it, which
have no names. They are gone when the last process in them is, so that nothing is left however this one ends, and nothing
else on the machine can see any of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal

from tests.proof.part import NotPossible

SHAPES = ("silent", "deaf", "mute", "lossy", "reset", "forgotten", "cable")
Shape = Literal["silent", "deaf", "mute", "lossy", "reset", "forgotten", "cable"]
"""What a machine that is cut off suffers: nothing passes; nothing comes in; nothing goes out; packets are lost both ways
by chance; every packet is answered with a reset; the same, and only this machine hears of it, the other side waits on;
its cable is pulled out, and programs are told that at once."""
NETWORK = "10.77.0"
OWN = f"{NETWORK}.1"
INSIDE = "PROOF_IN_OWN_NETWORK"
PROGRAMS = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables", "unshare": "util-linux", "nsenter": "util-linux"}
WAITS_S = 20.0
_RESET = "tcp flags rst accept; meta l4proto tcp reject with tcp reset"
_RULES = {
    "silent": ("drop", "drop"),
    "deaf": ("drop", ""),
    "mute": ("", "drop"),
    "lossy": ("numgen random mod 100 < {loss} drop", "numgen random mod 100 < {loss} drop"),
    "reset": (_RESET, _RESET),
    "forgotten": ("drop", _RESET),
}


def isolate(module: str) -> None:
    """Go on in a network namespace of this process's own: it starts anew there. Raise `NotPossible` where that cannot be."""
    if INSIDE in os.environ:
        return
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        raise NotPossible(f"there is no {', '.join(missing)} here (Debian, Ubuntu: apt install {' '.join(missing)})")
    why = ""
    for words in (["unshare", "-n"], ["unshare", "-r", "-n"]):
        # What is needed is tried: some machines have namespaces and no bridges, or no packet filter.
        trial = "ip link add hub type bridge && nft add table inet cut && ip link add end0 type veth peer name end1"
        tried = subprocess.run([*words, "sh", "-c", trial], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            sys.stdout.flush()
            os.execvpe("unshare", [*words, sys.executable, "-m", module, *sys.argv[1:]], {**os.environ, INSIDE: "1"})
        why = tried.stderr.strip().replace("\n", "; ")
    raise NotPossible(f"no network namespaces can be made here: {why}")


def _do(words: list[str], text: str = "") -> str:
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=WAITS_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}\n{text}")
    return done.stdout


@dataclass
class Machine:
    """One namespace with one cable to the bridge. Programs are started in it with the words `inside` before them."""

    name: str
    address: str
    port: str
    keeper: subprocess.Popen[str]
    cuts: int = 0
    is_pulled: bool = False
    _rules: dict[int, tuple[Shape, str, int]] = field(default_factory=dict)

    @property
    def inside(self) -> list[str]:
        """What stands before a program that shall run here."""
        return ["nsenter", "-t", str(self.keeper.pid), "-n", "--"]

    @contextlib.contextmanager
    def cut(self, shape: Shape, other: str = "", loss: int = 50) -> Iterator[None]:
        """Let this machine be cut off (from the address `other` only) while the context lasts. `loss`: % of all packets."""
        self.cuts += 1
        number = self.cuts
        self._rules[number] = shape, other, loss
        try:
            self._apply()
            yield
        finally:
            del self._rules[number]
            self._apply()

    def _apply(self) -> None:
        came, went = list[str](), list[str]()
        for shape, other, loss in reversed(self._rules.values()):  # the newest comes first
            if shape == "cable":
                continue
            incoming, outgoing = (rule.format(loss=loss) for rule in _RULES[shape])
            came += [f"ip saddr {other} {rule}" if other else rule for rule in incoming.split("; ") if rule]
            went += [f"ip daddr {other} {rule}" if other else rule for rule in outgoing.split("; ") if rule]
        chains = [
            f"chain {hook} {{ type filter hook {hook} priority 0; policy accept;\n{line}\n}}"
            for hook, rules in (("input", came), ("output", went))
            for line in ["\n".join(['meta oif "lo" accept' if hook == "output" else 'meta iif "lo" accept', *rules])]
        ]
        body = "\n".join(chains) if came or went else ""
        _do([*self.inside, "nft", "-f", "-"], f"table inet cut\ndelete table inet cut\ntable inet cut {{\n{body}\n}}\n")
        is_pulled = any(shape == "cable" for shape, _, _ in self._rules.values())
        if is_pulled != self.is_pulled:
            self.is_pulled = is_pulled
            _do([*self.inside, "ip", "link", "set", "eth0", "down" if is_pulled else "up"])

    def bytes(self) -> tuple[int, int]:
        """How many bytes came in and went out by its cable so far."""
        rows = Path(f"/proc/{self.keeper.pid}/net/dev").read_text().splitlines()
        counts = next(row.split(":")[1].split() for row in rows if row.strip().startswith("eth0:"))
        return int(counts[0]), int(counts[8])

    @contextlib.contextmanager
    def slow(self, kilobytes_s: int) -> Iterator[None]:
        """Let no more than so many kilobytes go out, and come in, in a second while the context lasts (a token bucket)."""
        rate = ["root", "tbf", "rate", f"{kilobytes_s * 8}kbit", "burst", "32kb", "latency", "200ms"]
        ends = [*self.inside, "tc", "qdisc", "{}", "dev", "eth0"], ["tc", "qdisc", "{}", "dev", self.port]
        try:
            for end in ends:
                _do([word.format("replace") for word in end] + rate)
            yield
        finally:
            for end in ends:
                _do([word.format("del") for word in end] + ["root"])


class Lan:
    """A bridge, on which this very process is at `OWN`, and machines with a cable to it. To be used after `isolate`."""

    def __init__(self) -> None:
        self.machines: list[Machine] = []
        own = [f"address add {OWN}/24 dev hub", "link set hub up", "link set lo up"]
        _do(["ip", "-batch", "-"], "\n".join(["link add hub type bridge", *own, ""]))

    def machine(self, name: str) -> Machine:
        """Add a machine."""
        # cat ends with its input, and so with this process, however that ends
        keeper = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo ready && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert keeper.stdout is not None
        if keeper.stdout.readline() != "ready\n":
            raise RuntimeError("no namespace was made")
        number = len(self.machines) + 2
        machine = Machine(name, f"{NETWORK}.{number}", f"v{number}", keeper)
        self.machines.append(machine)
        joined = [f"link add v{number} type veth peer name eth0 netns {keeper.pid}", f"link set v{number} master hub up", ""]
        _do(["ip", "-batch", "-"], "\n".join(joined))
        there = [f"address add {machine.address}/24 dev eth0", "link set eth0 up", ""]
        _do([*machine.inside, "ip", "-batch", "-"], "\n".join(there))
        machine._apply()
        return machine

    def close(self) -> None:
        """Take it all down."""
        for machine in self.machines:
            assert machine.keeper.stdin is not None
            machine.keeper.stdin.close()
            machine.keeper.wait(WAITS_S)
            with contextlib.suppress(RuntimeError):  # it went with its namespace, unless a program is still in that
                _do(["ip", "link", "del", machine.port])
        with contextlib.suppress(RuntimeError):
            _do(["ip", "link", "del", "hub"])

    def __enter__(self) -> Lan:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
