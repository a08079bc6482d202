"""What was measured on."""

import os
import platform
import time

BUSY = 0.15  # share of the machine that others may use: OpenMP's threads wait for each other, so little slows a lot


def cpu_model():
    """The processor's name as Linux has it; elsewhere what Python knows."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def cores():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_share(seconds=0.3):
    """How much of the machine is in use right now, 0 to 1; 0 where /proc does not tell."""
    before = cpu_times()
    time.sleep(seconds)
    spent = [after - earlier for earlier, after in zip(before, cpu_times())]
    return 1 - sum(spent[3:5]) / sum(spent) if sum(spent) else 0.0  # 3 and 4: idle, and idle for want of a disk


def cpu_times():
    """Ticks of all cores since the start, by what they did."""
    if not os.path.exists("/proc/stat"):
        return []
    with open("/proc/stat", encoding="ascii") as file:
        return [int(word) for word in file.readline().split()[1:9]]


def describe(args, answers):
    """The machine and the programs, for the record; the versions of torch are what the sides say of themselves."""
    versions = sorted({str(answer["torch"]) for answer in answers if answer.get("torch")})
    return {"cpu": cpu_model(), "cores": cores(), "threads": args.threads, "device": args.device, "torch": versions}


def words(machine):
    """The same in a line."""
    torch = ", ".join(machine["torch"]) or "not told"
    return (f"machine: {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
            f"device {machine['device']}, torch {torch}")
