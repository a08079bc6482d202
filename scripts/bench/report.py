"""Formats the measurements as tables and compares them with the targets."""

import machine
import stats
import theirs

BASE = "eager"
FASTEST = "fastest PyTorch"
# Targets: variant, baseline, minimum speed ratio.
WANTED = (("ours-auto", BASE, 2.3), ("ours-auto", FASTEST, 1.05), ("ours-f32", BASE, 1.2))
TITLES = {"ours-auto": "ours auto", "ours-f32": "ours f32", BASE: "eager f32"}
PARTS = ("import", "data", "model", "first_step")


def table(head, rows):
    """The lines of a table: the first column left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    lines = []
    for row in [head, *rows]:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return lines


def shown(number, digits=0):
    """A number as text, or a dash for None."""
    return "-" if number is None else f"{number:,.{digits}f}"


def ratio_words(ratio):
    """A ratio and its interval as text."""
    if ratio is None:
        return "-"
    interval = "one round" if ratio["low"] is None else f"{ratio['low']:.2f}, {ratio['high']:.2f}"
    return f"{ratio['ratio']:.2f} [{interval}]"


def failures(rounds, variants):
    """One line per variant and distinct failure reason."""
    lines = []
    for variant in variants:
        reasons = stats.values(rounds, variant, "failed")
        for reason in dict.fromkeys(reasons):
            lines.append(f"{variant} failed: {reason} ({reasons.count(reason)} of {len(rounds)} rounds)")
    return lines


def disturbed(rounds):
    """A warning if other programs were running, because such measurements are unreliable."""
    shares = [result["busy_before"] for results in rounds for result in results.values()]
    count = sum(share > machine.BUSY for share in shares)
    return [f"{count} of {len(shares)} measurements started while other programs used over {machine.BUSY:.0%} of the "
            "machine: stop them and measure again"] if count else []


def speeds(rounds, variants):
    """The table of throughput, start-up time and memory, with a row for each variant."""
    rows = []
    for variant in variants:
        measured = stats.values(rounds, variant, "images_per_second")
        if not measured:
            rows.append([variant, "failed", *["-"] * 5])
            continue
        ratio = stats.paired_ratio(stats.rates(rounds, variant), stats.rates(rounds, BASE))
        rows.append([
            variant,
            shown(stats.median(measured)),
            f"{shown(min(measured))}–{shown(max(measured))}",
            ratio_words(ratio),
            shown(stats.median(stats.values(rounds, variant, "startup_seconds")), 2),
            shown(stats.median(stats.values(rounds, variant, "peak_rss_mib"))),
            shown(stats.median(stats.values(rounds, variant, "optimizer_ms")), 2),
        ])
    head = ["variant", "images/s", "min–max", f"× {TITLES[BASE]}", "start-up s", "peak MiB", "optimizer ms"]
    return table(head, rows)


def start_up(rounds, variants):
    """The table of median seconds per part of the start-up, from process start to the end of the first step."""
    rows = []
    for variant in variants:
        parts = stats.values(rounds, variant, "startup_parts")
        if parts:
            medians = [stats.median([part[name] for part in parts if name in part]) for name in PARTS]
            compiling = stats.median(stats.values(rounds, variant, "compile_seconds"))
            rows.append([variant, *(shown(number, 2) for number in [*medians, compiling])])
    return table(["start-up, s", *(name.replace("_", " ") for name in PARTS), "incl. compiling"], rows)


def fastest(rounds):
    """The PyTorch variant with the highest median images/s; None if none was measured."""
    medians = {name: stats.median(stats.values(rounds, name, "images_per_second")) for name in theirs.VARIANTS}
    measured = [name for name in medians if medians[name] is not None]
    return max(measured, key=medians.get, default=None)


def verdicts(rounds):
    """Each target with the measured ratio and whether it is met."""
    found = []
    for variant, against, wanted in WANTED:
        other = fastest(rounds) if against == FASTEST else against
        ratio = stats.paired_ratio(stats.rates(rounds, variant), stats.rates(rounds, other))
        found.append({"variant": variant, "against": against, "other": other, "wanted": wanted, "measured": ratio,
                      "met": ratio and ratio["ratio"] >= wanted})
    return found


def verdict_words(verdict):
    """A verdict as one line of text."""
    against = f"{FASTEST} ({verdict['other']})" if verdict["against"] == FASTEST else TITLES[verdict["against"]]
    line = f"{TITLES[verdict['variant']]} / {against}: "
    if verdict["measured"] is None:
        return f"{line}not measured (target ≥ {verdict['wanted']:g})"
    mark = "met" if verdict["met"] else "NOT met"
    return f"{line}{ratio_words(verdict['measured'])} (target ≥ {verdict['wanted']:g}): {mark}"


def network(name, result, variants):
    """The complete report of one network."""
    rounds = result["rounds"]
    words = [verdict_words(verdict) for verdict in result["verdicts"]]
    warnings = [failures(rounds, variants), disturbed(rounds)]
    blocks = [speeds(rounds, variants), *warnings, words, start_up(rounds, variants)]
    return "\n\n".join([name, *("\n".join(block) for block in blocks if block)])
