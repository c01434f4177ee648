"""Containers: what comes before a program's command line, so that it runs in an image of Apptainer, Docker or Podman."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from copernicus.plugin.probing import Unanswered, ask

WORDS = ("work", "cores", "gpus", "name", "user")
ENVIRONMENT = "{environment...}"
END_LIMIT_S = 30.0
_WORD = re.compile(r"\{([\w.]+)\}")


@dataclass(frozen=True)
class Container:
    """How programs are started in a container; whole arguments, never seen by a shell.

    `prefix` comes before the program. In it `{work}` stands for the job's folder, `{cores}` for the number of its cores,
    `{gpus}` for the GPUs that it may see (separated by commas), `{name}` for a name that no other attempt has, `{user}` for
    the worker's user and group (`1000:1000`). The argument `{environment...}` becomes `--env NAME=VALUE` for each variable
    of the job. `end` is run after an attempt that did not end by itself, where ending the processes is not enough: a
    container of Docker goes on without its client.
    """

    prefix: tuple[str, ...]
    end: tuple[str, ...] = ()


@dataclass(frozen=True)
class Berth:
    """What is known of one attempt when its container is started. `environment` is what its program is to have."""

    work: str
    name: str
    cores: int = 1
    gpus: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def filled(words: tuple[str, ...], berth: Berth) -> tuple[str, ...]:
    """Return the arguments with what they stand for."""
    values = {
        "work": berth.work, "cores": str(berth.cores), "gpus": berth.gpus, "name": berth.name,
        "user": f"{os.getuid()}:{os.getgid()}",
    }  # fmt: skip
    given: list[str] = []
    for word in words:
        if word == ENVIRONMENT:
            for name, value in berth.environment.items():
                given += ["--env", f"{name}={value}"]
        else:
            given.append(_WORD.sub(lambda found: values.get(found[1], found[0]), word))
    return tuple(given)


def end_container(container: Container, berth: Berth) -> None:
    """Run what ends a container whose client is gone; whatever comes of it."""
    if container.end:
        with contextlib.suppress(Unanswered):
            ask(filled(container.end, berth), END_LIMIT_S)


def unknown_words(words: tuple[str, ...]) -> list[str]:
    """Return what stands in braces in the arguments and means nothing."""
    return [found for word in words if word != ENVIRONMENT for found in _WORD.findall(word) if found not in WORDS]
