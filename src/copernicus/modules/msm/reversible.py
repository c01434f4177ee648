"""The reversible maximum-likelihood estimate of a transition matrix, by Newton's method.

With u_i the Lagrange multipliers of the row sums, the estimate solves Σ_j (c_ij + c_ji) u_i / (u_i + u_j) = c_i
(Trendelkamp-Schroer et al. 2015). In v = ln u this is the gradient of the convex function
g(v) = ½ Σ_ij (c_ij + c_ji) ln(e^{v_i} + e^{v_j}) − Σ_i c_i v_i, so Newton's method finds it in some ten steps; the usual
fixed-point iteration needs 10⁵ where a part of the states is held by a few transitions, which is where it matters most.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any

_MAX_STEPS = 200
_TOLERANCE = 1e-10


def reversible_estimate(counts: Array) -> tuple[Array, Array]:
    """Return the transition matrix (n, n) and its stationary distribution (n,) that maximise the likelihood of `counts`.

    All states must be connected both ways; weights for counts are fine. Raises `ValueError` where it does not converge.
    """
    rows = counts.sum(axis=1)
    both = counts + counts.T
    v = np.zeros(len(counts))
    value = _objective(v, both, rows)
    for _ in range(_MAX_STEPS):
        ratio = 1.0 / (1.0 + np.exp(v[None, :] - v[:, None]))  # u_i / (u_i + u_j)
        gradient = (both * ratio).sum(axis=1) - rows
        if np.abs(gradient).max() < _TOLERANCE * rows.max():
            break
        weights = both * ratio * (1.0 - ratio)
        hessian = np.diag(weights.sum(axis=1)) - weights
        hessian += np.trace(hessian) / len(v) ** 2  # only differences of v matter: the constant direction is fixed here
        step = np.linalg.solve(hessian, -gradient)
        v, value, is_better = _line_search(v, value, step, float(gradient @ step), both, rows)
        if not is_better:  # as near as the arithmetic allows
            break
    else:
        raise ValueError("the reversible estimate did not converge.")
    multipliers = np.exp(v - v.max())
    flux = both / (multipliers[:, None] + multipliers[None, :])
    weight = flux.sum(axis=1)
    return flux / weight[:, None], weight / weight.sum()


def _objective(v: Array, both: Array, rows: Array) -> float:
    return float(0.5 * (both * np.logaddexp(v[:, None], v[None, :])).sum() - rows @ v)


def _line_search(v: Array, value: float, step: Array, slope: float, both: Array, rows: Array) -> tuple[Array, float, bool]:
    """Return the next point, its value, and whether it is any better: the step is halved until it pays."""
    size = min(1.0, 5.0 / max(np.abs(step).max(), 1e-300))
    while size > 1e-8:
        there = v + size * step
        new = _objective(there, both, rows)
        if new <= value + 1e-4 * size * slope:
            return there, new, True
        size /= 2
    return v, value, False
