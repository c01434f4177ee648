"""GPUs: what they are called, how many of a kind there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from copernicus.model.counts import gigabytes


class Gpu(msgspec.Struct, frozen=True, omit_defaults=True):
    """A graphics processor of a host: the name that its driver gives it, and its memory (None: not known)."""

    name: str
    memory_bytes: int | None = None


def is_of_kind(name: str, kind: str) -> bool:
    """Say whether a GPU is what a job asks for: `kind` is a part of its name, in capitals or not; "" is any."""
    return kind.casefold() in name.casefold()


@lru_cache(maxsize=4096)
def count_of_kind(names: tuple[str, ...], kind: str) -> int:
    """Return how many of the GPUs with these names are of a kind."""
    return sum(is_of_kind(name, kind) for name in names)


def describe_gpus(gpus: Sequence[Gpu]) -> str:
    """Return GPUs in words: "2 × NVIDIA L4 (24.2 GB)"; "" when there are none."""
    counts = Counter(gpus)
    return ", ".join(
        f"{count} × {gpu.name}" + ("" if gpu.memory_bytes is None else f" ({gigabytes(gpu.memory_bytes)})")
        for gpu, count in counts.items()
    )
