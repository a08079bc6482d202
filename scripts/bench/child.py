"""Runs one measurement in a separate process and reads the JSON object that it prints."""

import json
import subprocess
import time


class Stop(Exception):
    """The comparison cannot continue; the message contains the reason and the remedy."""


KEYS = ("images_per_second", "segments", "startup_seconds", "startup_parts", "peak_rss_mib", "optimizer_ms")
START_LIMIT = 900  # timeout in seconds for everything but the timed part: the first compilation can take minutes


def last_line(text):
    """The last line of an error output that is not empty; usually the most specific one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def ask(command, seconds, keys):
    """The JSON object with these keys that the command prints, or {"failed": reason}: a failed variant is a row of the
    table and does not end the comparison."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + START_LIMIT)
    except OSError as error:
        return failed(str(error))
    except subprocess.TimeoutExpired:
        return failed(f"still running after {seconds + START_LIMIT:.0f} s")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and "failed" in answer:
        return failed(answer["failed"])
    if done.returncode:
        return failed(f"exit status {done.returncode}: {last_line(done.stderr)}")
    if not isinstance(answer, dict):
        return failed(f"expected a JSON object on stdout, got {done.stdout[:80]!r}")
    missing = [key for key in keys if key not in answer]
    return failed(f"the result lacks {', '.join(missing)}") if missing else answer


def failed(reason):
    """The result of a measurement that failed."""
    return {"failed": reason}


def speed(command, seconds):
    """Measures one variant. The start time is passed along, so that the time to load the program is included."""
    return ask([*command, "--seconds", str(seconds), "--t0", f"{time.time():.6f}"], seconds, KEYS)


def losses(command):
    """The losses of the steps of the loss check."""
    return ask(command, 0, ("losses",))
