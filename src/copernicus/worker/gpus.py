"""The GPUs of this host that the worker may use, and which of them a job sees."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from copernicus.model.gpus import Gpu, is_of_kind

VISIBLE = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


class NoGpu(Exception):
    """There are too few free GPUs for a job; the text says how many of which kind it needs."""


@dataclass(frozen=True)
class Device:
    """One GPU: `identity` names it whatever the order in which programs count ("GPU-…")."""

    identity: str
    gpu: Gpu


class Gpus:
    """The GPUs of a worker, shared out among its jobs; without any, programs see what the worker itself would see.

    `why` says why there are none.
    """

    def __init__(self, devices: Sequence[Device] = (), why: str = "") -> None:
        self.devices, self.why = tuple(devices), why
        self._free = list(devices)
        self._lock = threading.Lock()

    @property
    def offered(self) -> tuple[Gpu, ...]:
        """What the worker announces."""
        return tuple(device.gpu for device in self.devices)

    def claim(self, count: int, kind: str = "") -> tuple[Device, ...]:
        """Take GPUs for a job; raise `NoGpu`."""
        if not count:
            return ()
        with self._lock:
            taken = [device for device in self._free if is_of_kind(device.gpu.name, kind)][:count]
            if len(taken) < count:
                wanted = f"{count} of kind {kind}" if kind else str(count)
                raise NoGpu(f"{len(taken)} GPUs are free, {wanted} needed")
            for device in taken:
                self._free.remove(device)
        return tuple(taken)

    def release(self, taken: Iterable[Device]) -> None:
        """Give GPUs back."""
        with self._lock:
            self._free += taken

    def environment(self, taken: Sequence[Device]) -> dict[str, str]:
        """Return the variables that let a job see these GPUs and no other."""
        return dict.fromkeys(VISIBLE, ",".join(device.identity for device in taken)) if self.devices else {}


def find_gpus(environment: Mapping[str, str] = os.environ) -> Gpus:
    """Return the NVIDIA GPUs of this host, those of `CUDA_VISIBLE_DEVICES` only where it is set; never raises."""
    try:
        import pynvml
    except ImportError:
        return Gpus(why="the Python package nvidia-ml-py is not installed (the extra gpu), so none are looked for")
    try:
        pynvml.nvmlInit()
    except Exception as error:  # no driver, none that fits, no permission
        return Gpus(why=f"the NVIDIA driver cannot be asked: {error}")
    try:
        devices = list(_devices(pynvml, environment.get("CUDA_VISIBLE_DEVICES")))
    except Exception as error:
        return Gpus(why=f"the NVIDIA driver cannot be asked: {error}")
    finally:
        pynvml.nvmlShutdown()
    if devices:
        return Gpus(devices)
    return Gpus(why="CUDA_VISIBLE_DEVICES names none" if "CUDA_VISIBLE_DEVICES" in environment else "the driver has none")


def _devices(nvml: Any, visible: str | None) -> Iterable[Device]:
    """As CUDA reads the variable: numbers or beginnings of names, up to the first that is not there."""
    there = [_device(nvml, nvml.nvmlDeviceGetHandleByIndex(number)) for number in range(nvml.nvmlDeviceGetCount())]
    if visible is None:
        return there
    chosen: dict[str, Device] = {}
    for word in (word.strip() for word in visible.split(",")):
        if word.isdecimal() and int(word) < len(there):
            found = there[int(word)]
        elif word.startswith("MIG-"):
            found = _device(nvml, nvml.nvmlDeviceGetHandleByUUID(word))
        elif word.startswith("GPU-") and (named := [one for one in there if one.identity.startswith(word)]):
            found = named[0]
        else:
            break
        chosen[found.identity] = found
    return chosen.values()


def _device(nvml: Any, handle: Any) -> Device:
    name, identity = nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetUUID(handle)
    return Device(_text(identity), Gpu(_text(name), int(nvml.nvmlDeviceGetMemoryInfo(handle).total)))


def _text(given: str | bytes) -> str:
    """Older versions of the library answer bytes."""
    return given.decode("utf-8", "replace") if isinstance(given, bytes) else given
