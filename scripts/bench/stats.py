"""Ratios of measurements that were taken side by side, and how sure they are."""

import math
import random
import statistics

RESAMPLES = 10_000
SEED = 1  # the same measurements give the same interval


def rates(rounds, variant):
    """Images per second of a variant in each round; None where it failed."""
    return [results.get(variant, {}).get("images_per_second") for results in rounds]


def values(rounds, variant, key):
    """What a variant told of itself under this key, in the rounds where it did."""
    found = [results[variant] for results in rounds if variant in results]
    return [result[key] for result in found if result.get(key) is not None]


def median(numbers):
    """The median; None of nothing."""
    return statistics.median(numbers) if numbers else None


def paired_ratio(over, under):
    """How many times as fast: the geometric mean of the ratios of each round, which cancels what slowed the whole
    machine down in that round. With its 95 % bootstrap interval over rounds, which one round cannot give."""
    logs = [math.log(a / b) for a, b in zip(over, under) if a and b]
    if not logs:
        return None
    low, high = bootstrap(logs) if len(logs) > 1 else (None, None)
    return {"ratio": math.exp(statistics.fmean(logs)), "low": low, "high": high, "rounds": len(logs)}


def bootstrap(logs):
    """The middle 95 % of the geometric means of resampled rounds."""
    draw = random.Random(SEED)
    means = sorted(statistics.fmean(draw.choices(logs, k=len(logs))) for _ in range(RESAMPLES))
    cut = round(RESAMPLES * 0.025)
    return math.exp(means[cut]), math.exp(means[-1 - cut])
