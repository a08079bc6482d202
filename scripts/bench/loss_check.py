"""Whether both sides train the same network: a faster one that computes something else would prove nothing."""

import math
import tempfile

import child
import ours
import theirs

LIMIT = 1e-3


def check(network, python):
    """Both sides' losses of the same steps and how far they are apart; stops where that is too far."""
    with tempfile.TemporaryDirectory(prefix="epochtop-bench-") as folder:
        mine = answer("epochtop", network, ours.losses(network, folder))
        other = answer("PyTorch", network, theirs.losses(network, folder, python))
    difference = furthest(mine, other)
    if not difference < LIMIT:
        raise child.Stop(f"{network}: the losses of epochtop and PyTorch differ by {difference:.2e} of their size, "
                         f"at most {LIMIT:.0e} is rounding: the two do not train the same network.\n"
                         f"  epochtop {rounded(mine)}\n  PyTorch  {rounded(other)}")
    return {"ours": mine, "theirs": other, "max_relative_difference": difference, "limit": LIMIT}


def answer(side, network, found):
    """The losses of a side that gave some."""
    if "failed" in found:
        raise child.Stop(f"{network}: {side} could not take the steps of the loss check: {found['failed']}")
    return found["losses"]


def furthest(mine, other):
    """The largest relative difference; infinite where they cannot be compared."""
    if not mine or len(mine) != len(other) or not all(map(math.isfinite, [*mine, *other])):
        return math.inf
    return max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(mine, other))


def rounded(losses):
    """A list of losses that can be read."""
    return " ".join(f"{loss:.5f}" for loss in losses)
