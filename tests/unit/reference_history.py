"""What people do to a project as a whole, in the reference model: names that change."""

from __future__ import annotations

from tests.unit.reference_model import Reference


def renamed(one: str, path: str, name: str) -> str:
    """A path, after the instance at `path` was given another name."""
    return name + one[len(path) :] if one == path or one.startswith(f"{path}:") else one


def rename(reference: Reference, path: str, name: str) -> None:
    """All paths that begin with `path` begin with `name` now."""
    reference.made = {renamed(one, path, name): instance for one, instance in reference.made.items()}
    reference.links = {
        (renamed(at[0], path, name), *at[1:]): (renamed(source[0], path, name), *source[1:])
        for at, source in reference.links.items()
    }
