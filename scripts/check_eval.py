#!/usr/bin/env python3
"""Recomputes every number in a run's eval.json from its predictions.csv, with scikit-learn and scipy.

    python3 scripts/check_eval.py runs/NAME        needs numpy, scipy and scikit-learn

Prints a line for each number. The exit status is 1 if a difference exceeds its tolerance: 1e-9 for metrics that are computed
from counts, 1e-7 for NLL, Brier, ECE, MCE and AUC, 1e-6 for the temperature, and five standard errors for the limits of
intervals, because two bootstraps differ by chance.
"""

import csv
import json
import pathlib
import sys

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax, logsumexp
from scipy.stats import beta, norm
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    matthews_corrcoef,
    precision_recall_fscore_support,
    roc_auc_score,
    top_k_accuracy_score,
)

RESAMPLES = 4000
# The standard error of the 2.5th percentile of B normal draws is END / sqrt(B) standard deviations of the distribution;
# 0.0584 is the normal density at that percentile.
END = np.sqrt(0.025 * 0.975) / 0.0584


class Report:
    """Compares numbers, prints each result and counts the differences."""

    def __init__(self):
        self.wrong = 0

    def same(self, what, found, wanted, tolerance):
        if found is None or wanted is None:
            off, good = 0.0, found is None and wanted is None
        else:
            off = float(np.max(np.abs(np.asarray(found, float) - np.asarray(wanted, float))))
            good = off <= tolerance
        self.wrong += not good
        print(f"{'ok ' if good else 'BAD'} {what:<34} difference {off:.1e}, tolerance {tolerance:.1e}")


# Most classes with intervals of the AUC and of each class, and with a complete confusion matrix in eval.json.
DETAILED = 200


def read(path):
    """Reads (labels, predictions, confidences, logits) by split. The logits are rounded to f32, then converted to f64. If the
    table has none, they are in an .npy file with the same rows."""
    splits, count = {}, 0
    with open(path, newline="") as file:
        for row in csv.reader(file):
            if row[0] != "split":
                splits.setdefault(row[0], []).append((count, *row[2:]))
                count += 1
    array = path.with_suffix(".npy")
    array = np.load(array, mmap_mode="r") if array.exists() else None
    out = {}
    for name, rows in splits.items():
        table = np.array(rows, float)
        numbers, table = table[:, 0].astype(int), table[:, 1:]
        logits = table[:, 3:] if table.shape[1] > 3 else array[numbers]
        logits = logits.astype(np.float32).astype(np.float64)
        out[name] = table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2], logits
    return out


def log_odds(z):
    """The log odds of each class: z_k minus the logsumexp of all other logits."""
    return np.stack([z[:, k] - logsumexp(np.delete(z, k, 1), axis=1) for k in range(z.shape[1])], 1)


def gaps(confidence, right, bins):
    """The bin (lower, upper] of each row, and per bin the sum of accuracy minus confidence, divided by all rows."""
    edges = np.arange(bins + 1) / bins
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    return place, np.bincount(place, right - confidence, bins) / len(right)


def temperature(z, y):
    """The temperature T that minimises the NLL: the zero of its derivative with respect to 1/T, by Brent's method."""

    def slope(beta):
        p = np.exp(log_softmax(beta * z, 1))
        return np.mean((p * z).sum(1) - z[np.arange(len(y)), y])

    return 1 / brentq(slope, 1e-3, 1e3, xtol=1e-15, rtol=1e-14)


def weighted_auc(order, positive, weights):
    """The AUC for each of many weightings of the rows. `order`: the rows sorted by score, without ties."""
    won, below = np.zeros(len(weights)), np.zeros(len(weights))
    w = weights[:, order]
    own = w * positive[order]
    below = np.cumsum(w - own, 1)
    won = (own * below).sum(1)
    pairs = own.sum(1) * (w - own).sum(1)
    return np.where(pairs > 0, won / np.maximum(pairs, 1), np.nan)


def grid_interval(terms, noise):
    """Hansen's grid bootstrap for a sum of magnitudes. The limits are the multiples of the terms whose sum, with noise
    added, has the measured sum as its 97.5th and 2.5th percentile."""
    measured = np.abs(terms).sum()

    def multiple(share):
        def above(c):
            return np.percentile(np.abs(c * terms + noise).sum(1), 100 * share) - measured

        if above(0) >= 0:
            return 0.0
        high = 1.0
        while above(high) < 0:
            high *= 2
        return brentq(above, 0, high, xtol=1e-9)

    return multiple(0.975) * measured, multiple(0.025) * measured


def proportion(hits, n):
    """Wilson's interval, an end moved out to the exact one-sided 95 % limit if that is farther."""
    if n == 0:
        return None
    z = norm.ppf(0.975)
    middle, spread = hits + z * z / 2, z * np.sqrt(hits * (n - hits) / n + z * z / 4)
    low, high = (middle - spread) / (n + z * z), (middle + spread) / (n + z * z)
    low = 0.0 if hits == 0 else min(low, beta.ppf(0.05, hits, n - hits + 1))
    high = 1.0 if hits == n else max(high, beta.ppf(0.95, hits + 1, n - hits))
    return np.array([low, high])


class Boundary:
    """The boundary corrections: squares by which the distances of the ends from the value grow."""

    EDGE = 10

    @classmethod
    def of(cls, hits, n, drawn, score=lambda j: j):
        """Of a score of a proportion: from the percentiles to the proportion's interval."""
        if n == 0 or min(hits, n - hits) > cls.EDGE or np.isnan(drawn).all():
            return np.zeros(2)
        return cls.between(score(hits / n), np.nanpercentile(drawn, [2.5, 97.5]), score(proportion(hits, n)))

    @staticmethod
    def between(value, inner, outer):
        sign = np.array([1, -1])
        inner, outer = np.maximum(sign * (value - inner), 0), np.maximum(sign * (value - outer), 0)
        return np.maximum(outer**2 - inner**2, 0)

    @staticmethod
    def corrected(value, ends, squares, least=0.0):
        sign = np.array([1, -1])
        away = value - sign * np.hypot(np.maximum(sign * (value - ends), 0), np.sqrt(squares))
        away = np.where(squares > 0, np.clip(away, least, 1), ends)
        return np.array([min(ends[0], away[0]), max(ends[1], away[1])])


def bootstrap(y, predicted, k, scores, bins):
    """Resampled accuracy, F1 by class and mean AUC, and for each of `bins` (bin of each row, gap of each row, number of
    bins) the resampled gap of each bin."""
    rng = np.random.default_rng(1)
    n = len(y)
    orders = [np.argsort(scores[:, c], kind="stable") for c in range(k)]
    out = {"accuracy": [], "f1": [], "auc": [], "gaps": [[] for _ in bins]}
    one_true, one_predicted = np.eye(k)[y], np.eye(k)[predicted]
    for start in range(0, RESAMPLES, 100):
        weights = rng.multinomial(n, np.full(n, 1 / n), 100).astype(float)
        right = weights @ (y == predicted)
        hits, support = weights @ (one_true * one_predicted), weights @ one_true
        total = support + weights @ one_predicted
        out["accuracy"].append(right / n)
        out["f1"].append(np.where(total > 0, 2 * hits / np.maximum(total, 1), 0))
        if k <= DETAILED:
            aucs = [weighted_auc(orders[c], (y == c).astype(float), weights) for c in range(k)]
        else:
            aucs = np.full((1, len(weights)), np.nan)
        out["auc"].append(np.nanmean(aucs, 0))
        for (place, gap, count), drawn in zip(bins, out["gaps"]):
            table = np.zeros((n, count))
            table[np.arange(n), place] = gap
            drawn.append(weights @ table / n)
    join = lambda parts: np.concatenate(parts)
    return join(out["accuracy"]), join(out["f1"]), join(out["auc"]), [join(g) for g in out["gaps"]]


def check_interval(report, what, written, drawn, resamples, value, squares):
    """`squares`: the boundary correction of the value's interval."""
    if np.isnan(drawn).all():
        report.same(f"{what}, interval", written, None, 0)
        return
    ends = Boundary.corrected(value, np.nanpercentile(drawn, [2.5, 97.5]), squares)
    chance = 5 * END * np.sqrt(1 / resamples + 1 / RESAMPLES) * np.nanstd(drawn)
    report.same(f"{what}, interval", written, ends, max(chance, 1e-9))


def main(run):
    run = pathlib.Path(run)
    wanted = json.loads((run / "eval.json").read_text())
    splits = read(run / "predictions.csv")
    y, predicted, confidence, z = splits[wanted["split"]]
    k = z.shape[1]
    labels = list(range(k))
    report = Report()
    same = report.same

    # Metrics from counts.
    argmax = z.argmax(1)
    same("predicted class, rows that differ", (argmax != predicted).sum(), 0, 0)
    same("n", wanted["n"], len(y), 0)
    confusion = wanted["confusion"]
    if k > DETAILED:
        cells, confusion = confusion["cells"], np.zeros((k, k))
        for true, column, number in cells:
            confusion[true, column] = number
    same("confusion", confusion, confusion_matrix(y, argmax, labels=labels), 0)
    same("accuracy", wanted["accuracy"]["value"], accuracy_score(y, argmax), 1e-9)
    scores = precision_recall_fscore_support(y, argmax, labels=labels, zero_division=0)
    for name, column in zip(("precision", "recall"), scores):
        same(name, [c[name] for c in wanted["classes"]], column, 1e-9)
    same("F1", [c["f1"]["value"] for c in wanted["classes"]], scores[2], 1e-9)
    same("support", [c["support"] for c in wanted["classes"]], scores[3], 0)
    options = {"labels": labels, "zero_division": 0}
    same("macro-F1", wanted["macro_f1"]["value"], f1_score(y, argmax, average="macro", **options), 1e-9)
    same("weighted F1", wanted["weighted_f1"], f1_score(y, argmax, average="weighted", **options), 1e-9)

    same("balanced accuracy", wanted["balanced_accuracy"]["value"], balanced_accuracy_score(y, argmax), 1e-9)
    same("Matthews", wanted["matthews"]["value"], matthews_corrcoef(y, argmax), 1e-9)
    if k > 5:
        top5 = top_k_accuracy_score(y, z, k=5, labels=labels)
        same("top-5 accuracy", wanted["top5_accuracy"]["value"], top5, 1e-9)

    # The temperature, fitted on the validation split.
    valid_y, _, _, valid_z = splits["valid"]
    t = wanted["temperature"]["value"]
    if wanted["temperature"]["converged"]:
        # For large temperatures the NLL is flat around its minimum, so the tolerance is relative.
        same("temperature", t, temperature(valid_z, valid_y), 1e-6 * max(1, t))

    # Metrics from probabilities.
    p, calibrated = np.exp(log_softmax(z, 1)), np.exp(log_softmax(z / t, 1))
    same("confidence, by row", confidence, calibrated.max(1), 1e-9)
    same("NLL", wanted["nll"]["uncalibrated"], log_loss(y, p, labels=labels), 1e-7)
    same("NLL, calibrated", wanted["nll"]["calibrated"], log_loss(y, calibrated, labels=labels), 1e-7)
    onehot = np.eye(k)[y]
    same("Brier", wanted["brier"], ((calibrated - onehot) ** 2).sum(1).mean(), 1e-7)
    if k > 2:
        same("Brier, by scikit-learn", wanted["brier"], brier_score_loss(y, calibrated, labels=labels, scale_by_half=False), 1e-7)
    right = (argmax == y).astype(float)
    bins = []
    for name, probabilities in (("uncalibrated", p), ("calibrated", calibrated)):
        diagram = wanted["reliability" if name == "calibrated" else "reliability_uncalibrated"]
        place, gap = gaps(probabilities.max(1), right, len(diagram))
        counts = np.bincount(place, minlength=len(diagram))
        same(f"ECE, {name}", wanted["ece"][name]["value"], np.abs(gap).sum(), 1e-7)
        largest = np.abs(gap[counts > 0] * len(y) / counts[counts > 0]).max()
        same(f"MCE, {name}", wanted["mce"][name], largest, 1e-7)
        same(f"bins, {name}", [b["count"] for b in diagram], counts, 0)
        bins.append((place, right - probabilities.max(1), len(diagram), gap))
    odds = log_odds(z)
    aucs = [roc_auc_score(y == c, odds[:, c]) if 0 < (y == c).sum() < len(y) else None for c in labels]
    for c in labels:
        same(f"AUC, class {c}", wanted["classes"][c]["auc"], aucs[c], 1e-7)
    known = [a for a in aucs if a is not None]
    same("AUC, mean", wanted["auc_ovr_macro"]["value"], np.mean(known) if known else None, 1e-7)
    same("AUC, classes used", wanted["auc_ovr_macro"]["classes_used"], len(known), 0)

    # Intervals of proportions.
    support, guesses = np.bincount(y, minlength=k), np.bincount(argmax, minlength=k)
    hits = np.bincount(y[argmax == y], minlength=k)
    same("accuracy, interval", wanted["accuracy"]["ci95"], proportion(right.sum(), len(y)), 1e-9)
    for name, totals in (("precision", guesses), ("recall", support)):
        for c in labels:
            same(f"{name}, class {c}, interval", wanted["classes"][c][f"{name}_ci95"], proportion(hits[c], totals[c]), 1e-9)

    # Intervals, from an independent bootstrap.
    resamples = wanted["bootstrap"]["resamples"]
    if resamples:
        accuracy, f1, auc, drawn = bootstrap(y, argmax, k, odds, [b[:3] for b in bins])
        sums = support + guesses - hits
        f1_squares = [Boundary.of(hits[c], sums[c], f1[:, c], lambda j: 2 * j / (1 + j)) for c in labels]
        auc_squares = []
        for c in labels:
            fewer = min(support[c], len(y) - support[c])
            if aucs[c] is not None:
                edge = {1.0: fewer, 0.0: 0}.get(round(aucs[c], 12))
                ends = np.full(2, aucs[c])
                auc_squares.append(np.zeros(2) if edge is None else Boundary.between(aucs[c], ends, proportion(edge, fewer)))
        mean = lambda all: np.sum(all, 0) / max(len(all), 1) ** 2
        value = wanted["macro_f1"]["value"]
        check_interval(report, "macro-F1", wanted["macro_f1"]["ci95"], f1.mean(1), resamples, value, mean(f1_squares))
        value = wanted["auc_ovr_macro"]["value"]
        check_interval(report, "AUC", wanted["auc_ovr_macro"]["ci95"], auc, resamples, value, mean(auc_squares))
        for c in labels:
            found = wanted["classes"][c]["f1"]
            if sums[c] and k <= DETAILED:
                check_interval(report, f"F1, class {c}", found["ci95"], f1[:, c], resamples, found["value"], f1_squares[c])
            else:
                same(f"F1, class {c}, interval", found["ci95"], None, 0)
        # A lower accuracy can raise or lower the ECE.
        squares = np.max(Boundary.of(right.sum(), len(y), accuracy)) * np.ones(2)
        for name, (_, _, _, gap), own in zip(("uncalibrated", "calibrated"), bins, drawn):
            ends = np.array(grid_interval(gap, own - gap))
            ends = Boundary.corrected(wanted["ece"][name]["value"], ends, squares)
            spread = np.std(np.abs(own).sum(1))
            chance = 5 * END * np.sqrt(1 / resamples + 1 / RESAMPLES) * spread
            same(f"ECE, {name}, interval", wanted["ece"][name]["ci95"], ends, chance)
    print(f"\n{run}: " + (f"{report.wrong} numbers differ" if report.wrong else "all numbers agree"))
    return int(report.wrong > 0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
