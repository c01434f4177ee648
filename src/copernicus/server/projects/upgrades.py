"""Before an upgrade: what module code makes of the values of instances that an earlier version of it made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from copernicus.dataflow import converting
from copernicus.dataflow.calls import ConvertAnswer, Converted
from copernicus.errors import Refused
from copernicus.model.edits import Edit, UpgradeModule
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import ModuleCode

_TRIES = 5


async def conversions(project: LiveProject, edits: Sequence[Edit], code: ModuleCode) -> dict[int, Converted]:
    """Return what is to be known before `edits` can be applied: nothing, unless one of them upgrades a module.

    Raises `ModuleError` when the module's conversion fails, `Refused` when the project does not stand still long enough.
    """
    modules = dict.fromkeys(edit.module.replace("-", "_") for edit in edits if isinstance(edit, UpgradeModule))
    if not modules:
        return {}
    for _ in range(_TRIES):
        network = project.network
        seq = network.seq
        asked = [one for module in modules for one in converting.questions(network, project.catalog, module)]
        said = await asyncio.gather(*(code.call(question.call) for question in asked))
        if project.network is network and network.seq == seq:
            return converting.answers(network, asked, [one for one in said if isinstance(one, ConvertAnswer)])
    raise Refused("The project changes faster than its values can be converted.", "Deactivate it, then upgrade.")
