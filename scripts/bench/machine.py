"""Describes the machine and measures its load."""

import os
import platform
import time

BUSY = 0.15  # warn above this load: OpenMP threads wait for each other, so little load slows training considerably


def cpu_model():
    """The name of the processor, from /proc/cpuinfo if that exists."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def cores():
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_share(seconds=0.3):
    """The current CPU utilisation of the machine, 0 to 1; 0 without /proc/stat."""
    before = cpu_times()
    time.sleep(seconds)
    spent = [after - earlier for earlier, after in zip(before, cpu_times())]
    return 1 - sum(spent[3:5]) / sum(spent) if sum(spent) else 0.0  # 3: idle, 4: iowait


def cpu_times():
    """Ticks of all cores since boot, by state."""
    if not os.path.exists("/proc/stat"):
        return []
    with open("/proc/stat", encoding="ascii") as file:
        return [int(word) for word in file.readline().split()[1:9]]


def describe(args, answers):
    """The machine and the versions of torch that the measurements report, for the JSON file."""
    versions = sorted({str(answer["torch"]) for answer in answers if answer.get("torch")})
    return {"cpu": cpu_model(), "cores": cores(), "threads": args.threads, "device": args.device, "torch": versions}


def summary(machine):
    """The same as one line of text."""
    torch = ", ".join(machine["torch"]) or "unknown"
    return (f"machine: {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
            f"device {machine['device']}, torch {torch}")
