"""Runs one side in a process of its own and takes the JSON object it prints."""

import json
import subprocess
import time


class Stop(Exception):
    """The comparison cannot go on; the message says why and what to do."""


KEYS = ("images_per_second", "segments", "startup_seconds", "startup_parts", "peak_rss_mib", "optimizer_ms")
START_LIMIT = 900  # seconds for all but the timed part; a first compilation on a busy machine takes minutes


def last_line(text):
    """The line of an error output that tells most: the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def ask(command, seconds, keys):
    """What the command printed, as an object with these keys, or {"failed": reason}: one side's failure is a row of
    the table, not the end of the comparison."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + START_LIMIT)
    except OSError as error:
        return failed(str(error))
    except subprocess.TimeoutExpired:
        return failed(f"no end after {seconds + START_LIMIT:.0f} s")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and "failed" in answer:
        return failed(answer["failed"])
    if done.returncode:
        return failed(f"exit status {done.returncode}: {last_line(done.stderr)}")
    if not isinstance(answer, dict):
        return failed(f"printed no JSON object but {done.stdout[:80]!r}")
    lacking = [key for key in keys if key not in answer]
    return failed(f"the answer lacks {', '.join(lacking)}") if lacking else answer


def failed(reason):
    """The answer of a side that gave none."""
    return {"failed": reason}


def speed(command, seconds):
    """Measures one variant; the moment of its start goes along, so that loading the program counts."""
    return ask([*command, "--seconds", str(seconds), "--t0", f"{time.time():.6f}"], seconds, KEYS)


def losses(command):
    """The losses of the steps that both sides take."""
    return ask(command, 0, ("losses",))
