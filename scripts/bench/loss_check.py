"""Checks that both sides train the same network; comparing the speed of different computations would be meaningless."""

import math
import tempfile

import child
import ours
import theirs

LIMIT = 1e-3


def check(network, python):
    """The losses of both sides for the same steps and their largest relative difference; raises Stop above LIMIT."""
    with tempfile.TemporaryDirectory(prefix="epochtop-bench-") as folder:
        mine = answer("epochtop", network, ours.losses(network, folder))
        other = answer("PyTorch", network, theirs.losses(network, folder, python))
    difference = max_relative_difference(mine, other)
    if not difference < LIMIT:
        raise child.Stop(f"{network}: the losses of epochtop and PyTorch differ by {difference:.2e} (relative), more than "
                         f"the {LIMIT:.0e} that rounding explains: the two do not train the same network.\n"
                         f"  epochtop {rounded(mine)}\n  PyTorch  {rounded(other)}")
    return {"ours": mine, "theirs": other, "max_relative_difference": difference, "limit": LIMIT}


def answer(side, network, found):
    """The losses of one side; raises Stop if it failed."""
    if "failed" in found:
        raise child.Stop(f"{network}: {side} failed in the loss check: {found['failed']}")
    return found["losses"]


def max_relative_difference(mine, other):
    """The largest relative difference; infinite if the lengths differ or a loss is not finite."""
    if not mine or len(mine) != len(other) or not all(map(math.isfinite, [*mine, *other])):
        return math.inf
    return max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(mine, other))


def rounded(losses):
    """The losses as text, with five decimals."""
    return " ".join(f"{loss:.5f}" for loss in losses)
