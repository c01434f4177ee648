"""The command that says what to cite."""

from __future__ import annotations

from collections.abc import Iterator

from copernicus.client.cli.context import Context, command, pass_context
from copernicus.client.output import text

OWN = (
    "S. Pronk et al., Molecular Simulation Workflows as Parallel Algorithms: The Execution Engine of Copernicus, a Distributed "
    "High-Performance Computing Platform, J. Chem. Theory Comput. 11 (2015) 2600, doi:10.1021/acs.jctc.5b00234"
)


@command("cite")
@pass_context
def cite_command(context: Context) -> None:
    """Say what to cite: for Copernicus, and for the modules whose functions the project uses, as these declare it."""
    found = context.project.citations()
    rows = {"copernicus": [OWN], **{row.module: row.citations for row in found}}

    def lines() -> Iterator[str]:
        for module, works in rows.items():
            yield f"{module}:"
            for work in works:
                yield from text.fitting(f"  {text.clean(work)}", "  ")

    context.show(rows, lines)
