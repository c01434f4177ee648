"""The program behind `_test::external_err`: it reads a call from each line and answers with a line."""

from __future__ import annotations

import json
import math
import sys
from typing import Any


def answer(a: float, b: float) -> dict[str, Any]:
    """Return what one call is answered with."""
    if a < 0:
        return {"error": f"a is negative: {a:g}"}
    total = a + b
    # JSON has no nan and no inf: they are written as texts.
    shown = total if math.isfinite(total) else str(total)
    return {"outputs": {"a": shown}, "warning": f"b is negative: {b:g}" if b < 0 else ""}


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        inputs = json.loads(line)["inputs"]
        print(json.dumps(answer(float(inputs["a"]), float(inputs["b"]))), flush=True)


if __name__ == "__main__":
    main()
