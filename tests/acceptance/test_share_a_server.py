"""The page "share a server", block by block as it stands, and what it promises about bundles, with the real programs."""

from __future__ import annotations

import json

from tests.acceptance.test_p08_own_module import BLOCK, TUTORIAL, run

from copernicus.net.bundle import read_bundle
from copernicus.testing.system import System

PAGE = TUTORIAL.parents[1] / "how-to" / "share-a-server.md"


def test_the_page(system: System) -> None:
    system.setup()
    system.start()
    shown = ""
    for _, language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "sh":
            shown = run(system, text)
        else:
            assert shown.endswith(text)
    assert "bundle revoked" in shown.splitlines()[-1], "the audit log has what was done last"
    rows = system.ask("bundles", "--all")
    assert [(row["role"], row.get("projects", []), row.get("renews", False)) for row in rows] == [
        ("admin", [], True), ("worker", [], True), ("client", [], False), ("worker", ["folding"], True),
    ]  # fmt: skip
    assert [row.get("revoked_at") is not None for row in rows] == [False, False, False, True]
    worker = system.worker("-n", "1", bundle=system.folder / "worker.cnx")
    system.until(lambda: system.workers_known() == 1, what="the worker is known")
    system.cpcc("revoke-bundle", read_bundle(system.folder / "worker.cnx").serial)
    system.until(lambda: "refused this bundle (revoked)" in worker.log, what="the waiting worker is told")
    what = [json.loads(line)["what"] for line in (system.home / "_default/server/audit.log").read_text().splitlines()]
    assert [what.count(word) for word in ("user added", "access granted", "access revoked", "bundle revoked")] == [2, 2, 1, 2]
