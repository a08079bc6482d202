"""Ratios of paired measurements, with confidence intervals."""

import math
import random
import statistics

RESAMPLES = 10_000
SEED = 1  # fixed, so that the same measurements give the same interval


def rates(rounds, variant):
    """Images/s of a variant in each round; None for a round in which it failed."""
    return [results.get(variant, {}).get("images_per_second") for results in rounds]


def values(rounds, variant, key):
    """The values that a variant reported for this key, from the rounds that have one."""
    found = [results[variant] for results in rounds if variant in results]
    return [result[key] for result in found if result.get(key) is not None]


def median(numbers):
    """The median, or None for an empty list."""
    return statistics.median(numbers) if numbers else None


def paired_ratio(over, under):
    """The geometric mean of the speed ratios per round, with a 95 % bootstrap interval over rounds (None with a single
    round). Pairing by round cancels slowdowns that affect all variants of a round."""
    logs = [math.log(a / b) for a, b in zip(over, under) if a and b]
    if not logs:
        return None
    low, high = bootstrap(logs) if len(logs) > 1 else (None, None)
    return {"ratio": math.exp(statistics.fmean(logs)), "low": low, "high": high, "rounds": len(logs)}


def bootstrap(logs):
    """The 2.5th and 97.5th percentile of the geometric means of resampled rounds."""
    draw = random.Random(SEED)
    means = sorted(statistics.fmean(draw.choices(logs, k=len(logs))) for _ in range(RESAMPLES))
    cut = round(RESAMPLES * 0.025)
    return math.exp(means[cut]), math.exp(means[-1 - cut])
