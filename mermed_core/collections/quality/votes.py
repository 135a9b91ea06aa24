"""The vote of the nearest cases of other patients on what a case is, nearer ones counting more.

The vote of a neighbour weighs exp(Δcos / 0.05), Δcos being how far its similarity lies below the nearest's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mermed_core.collections.quality.neighbourhood import Neighbourhood

NEAREST = 20
_TEMPERATURE = 0.05
_BLOCK = 16_384  # cases that are voted on together


@dataclass(frozen=True, eq=False)
class Votes:
    """How the neighbours of some cases voted.

    Attributes:
        rows: (cases,) positions of the cases that had a neighbour to vote.
        winner: (cases,) the code with the most votes; of equals that of the nearer neighbour.
        winning: (cases,) its share of the votes, 0..1.
        own: (cases,) the share for the case's own code, 0..1; 0 where it has none.
    """

    rows: np.ndarray
    winner: np.ndarray
    winning: np.ndarray
    own: np.ndarray


def take_votes(
    codes: np.ndarray,
    neighbours: Neighbourhood,
    rows: np.ndarray,
    within: np.ndarray,
    done: Callable[[int], None] = lambda _: None,
) -> Votes:
    """Lets the neighbours of some cases vote on their codes, the `NEAREST` that may.

    Args:
        codes: (all cases,) such as labels, from 0 up; who has −1 does not vote.
        neighbours: of all cases.
        rows: (cases,) positions of the cases that are voted on.
        within: (all cases,) numbers from 0 up; a neighbour votes where its number is the case's.
        done: is told of how many cases more were voted on; what it raises ends the votes.
    """
    parts = []
    for first in range(0, max(len(rows), 1), _BLOCK):
        some = rows[first : first + _BLOCK]
        parts.append(_votes(codes, neighbours, some, within))
        done(len(some))
    return Votes(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.winner for part in parts]),
        np.concatenate([part.winning for part in parts]),
        np.concatenate([part.own for part in parts]),
    )


def _votes(codes: np.ndarray, neighbours: Neighbourhood, rows: np.ndarray, within: np.ndarray) -> Votes:
    near, patients = neighbours.positions[rows], neighbours.patients
    may = (near >= 0) & (codes[near] >= 0) & (within[near] == within[rows, None])
    may &= patients[near] != patients[rows, None]
    rows, near, may = rows[some := may.any(axis=1)], near[some], may[some]
    if not len(rows):
        return Votes(rows, rows, np.empty(0), np.empty(0))
    first = np.argsort(~may, axis=1, kind="stable")[:, :NEAREST]  # who may vote, the nearest first
    near, may = (np.take_along_axis(each, first, axis=1) for each in (near, may))
    similarities = np.take_along_axis(neighbours.similarities[rows], first, axis=1).astype(np.float64)
    # The first of them may always vote, and is the nearest.
    weights = np.where(may, np.exp((similarities - similarities[:, :1]) / _TEMPERATURE), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    voted = np.where(may, codes[near], -1)
    shares = ((voted[:, :, None] == voted[:, None, :]) * weights[:, None, :]).sum(axis=2)
    shares[~may] = -1
    best, cases = shares.argmax(axis=1), np.arange(len(rows))
    own = (weights * (voted == codes[rows, None])).sum(axis=1)
    return Votes(rows, voted[cases, best], shares[cases, best], own)
