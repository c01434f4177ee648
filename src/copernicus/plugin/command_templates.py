"""Commands without Python: what a table of functions.toml says, expanded to a job for given inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from copernicus.model.jobs import Rule
from copernicus.plugin.declarations import Source
from copernicus.plugin.files import File
from copernicus.plugin.jobs import Job
from copernicus.plugin.places import refuse
from copernicus.plugin.signatures import Signature
from copernicus.plugin.templates import Part, Place, Spread, Text

ALL = "all"


@dataclass(frozen=True)
class CommandTemplate:
    """A job with places for inputs. `where` is the file and line that messages name."""

    where: str
    run: str
    signature: Signature
    sources: Mapping[str, Source]
    argv: tuple[Part, ...] = ()
    until: tuple[Part, ...] = ()
    needs: tuple[tuple[str, Place | Spread], ...] = ()
    cores: tuple[int | float | Place | str, int | float | Place | str] = (1, 1)
    numbers: Mapping[str, int | float | Place] = field(default_factory=dict)
    environment: Mapping[str, Place | Spread | Text] = field(default_factory=dict)
    checkpoint: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    done_when: str | None = None
    gpu_kind: str = ""
    rules: tuple[Rule, ...] = ()

    def job(self, **inputs: Any) -> Job[Any]:
        """Return the job for these inputs; absent ones have their defaults. Raises `ModuleError` with file and line."""
        for declared in self.signature.inputs:
            if inputs.get(declared.name) is None and declared.default is not None:
                inputs[declared.name] = self.signature.input_shapes[declared.name].load(declared.default, declared.name)
        numbers = {key: self._number(given, inputs) for key, given in self.numbers.items()}
        least, most = (None if bound == ALL else self._number(bound, inputs) for bound in self.cores)
        record = self.signature.out.record
        assert record is not None
        return Job(
            self.run,
            [argument for part in self.argv for argument in part.expand(inputs)],
            record(**{name: source.value(inputs) for name, source in self.sources.items()}),
            cores=(int(least or 0), None if most is None else int(most)),
            priority=int(numbers.get("priority") or 0),
            needs=self._needs(inputs),
            until=[argument for part in self.until for argument in part.expand(inputs)],
            gpus=int(numbers.get("gpus") or 0),
            memory_bytes=None if numbers.get("memory_bytes") is None else int(numbers["memory_bytes"]),
            wall_time_s=numbers.get("wall_time_s"),
            checkpoint_every_s=numbers.get("checkpoint_every_s"),
            environment={name: "".join(map(str, value.expand(inputs))) for name, value in self.environment.items()},
            checkpoint=self.checkpoint,
            watch=self.watch,
            done_when=self.done_when,
            gpu_kind=self.gpu_kind,
            rules=self.rules,
            seed=None if numbers.get("seed") is None else int(numbers["seed"]),
        )

    def _number(self, given: Any, inputs: Mapping[str, Any]) -> Any:
        return inputs.get(given.name) if isinstance(given, Place) else given

    def _needs(self, inputs: Mapping[str, Any]) -> dict[str, File]:
        needs: dict[str, File] = {}
        for name, part in self.needs:
            for file in part.expand(inputs) if inputs.get(part.name) is not None else []:
                staged = name or file.name.rpartition("/")[2] or "file"
                if needs.setdefault(staged, file) != file:
                    raise refuse(
                        self.where, f"Two different files of the job would both be called {staged}.",
                        'Name them: needs = { "other.name" = "{input}" }',
                    )  # fmt: skip
        return needs
