"""The line search of L-BFGS: a step's length that meets the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[Any]
# A point on the line: (length, loss, gradient, slope along the line)
Point = tuple[float, float, Vector, float]


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """The minimum of the cubic through two points with their slopes, held in ``bounds`` (by default between them).

    J. Nocedal, S. Wright, "Numerical optimization", 2006, equation 3.59.
    """
    (x1, f1, _, g1), (x2, f2, _, g2) = a, b
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if not square >= 0:
        return (low + high) / 2
    d2 = sqrt(square)
    if x1 <= x2:
        at = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        at = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(at, low), high)


def strong_wolfe(
    at: Callable[[float], tuple[float, Vector]],
    t: float,
    d: Vector,
    loss: float,
    g: Vector,
    slope: float,
    *,
    most: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
) -> tuple[float, Vector, float, int]:
    """Find t with loss(t) <= loss + c1 * t * slope and |slope(t)| <= c2 * |slope|.

    Args:
        at: the loss and gradient at a length.
        t: the first length to try.
        d: the direction; ``slope`` is its product with the gradient ``g`` at the start.
        most: the greatest number of lengths, after the first, to widen and narrow the bracket with.
        c1, c2: the constants of the two conditions.
        tolerance: the bracket, in parameters, below which the search ends.

    Returns:
        (loss, gradient, t, number of evaluations).
    """

    def point(length: float) -> Point:
        value, gradient = at(length)
        return length, value, gradient, float(gradient @ d)

    def too_high(p: Point) -> bool:
        return p[1] > loss + c1 * p[0] * slope

    def flat(p: Point) -> bool:
        return abs(p[3]) <= -c2 * slope

    reach = float(np.abs(d).max()) if d.size else 0.0
    start: Point = (0.0, loss, g, slope)
    previous, new = start, point(t)
    calls = 1
    bracket: list[Point] = []
    tries = 0
    while tries < most:
        if too_high(new) or (tries > 1 and new[1] >= previous[1]):
            bracket = [previous, new]
        elif flat(new):
            return new[1], new[2], new[0], calls
        elif new[3] >= 0:
            bracket = [previous, new]
        if bracket:
            break
        # The minimum lies beyond: go there by the cubic, by a hundredth of the last stride to ten lengths further.
        bounds = (new[0] + 0.01 * (new[0] - previous[0]), new[0] * 10)
        previous, new = new, point(cubic_minimum(previous, new, bounds))
        calls += 1
        tries += 1
    if not bracket:
        bracket = [start, new]

    low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
    stalled = False
    while tries < most:
        if abs(bracket[1][0] - bracket[0][0]) * reach < tolerance:
            break
        length = cubic_minimum(bracket[0], bracket[1])
        # Too near an end the bracket would hardly shrink: twice in a row, or beyond it, take a tenth from that end.
        ends = sorted((bracket[0][0], bracket[1][0]))
        tenth = 0.1 * (ends[1] - ends[0])
        if min(ends[1] - length, length - ends[0]) < tenth:
            if stalled or length >= ends[1] or length <= ends[0]:
                near_top = abs(length - ends[1]) < abs(length - ends[0])
                length = ends[1] - tenth if near_top else ends[0] + tenth
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        new = point(length)
        calls += 1
        tries += 1
        if too_high(new) or new[1] >= bracket[low][1]:
            bracket[high] = new
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
        else:
            if flat(new):
                bracket[low] = new
                break
            if new[3] * (bracket[high][0] - bracket[low][0]) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
    length, value, gradient, _ = bracket[low]
    return value, gradient, length, calls
