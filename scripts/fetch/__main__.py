"""Puts libtorch into .deps/libtorch and Fashion-MNIST where the trainer looks for it.

`scripts/setup.sh` calls it once the tools are there. Python's standard library only; pip tells where wheels come from.
With --check it reports and changes nothing. libtorch lies in the user's cache, for the next clone to share.
"""

import sys

import data
import libtorch
import tools


AGAIN = "then run `make setup` again: it goes on where it stopped"


def attempt(item, step, check):
    """Runs one step; tells what went wrong in one line, and the remedy in another."""
    try:
        step(check)
        return True
    except tools.Stop as stop:
        problem, remedy = stop, stop.remedy
    except tools.Broken as broken:
        problem, remedy = f"no connection ({broken})", f"check network and proxy, {AGAIN}"
    except OSError as error:
        problem, remedy = error, f"make room or give write access there, {AGAIN}"
    print(f"{item}: {problem}\n{'':<14}remedy: {remedy}", file=sys.stderr)
    return False


def main():
    check = sys.argv[1:] == ["--check"]
    steps = [("libtorch", libtorch.setup), ("fashion-mnist", data.setup)]
    done = [attempt(item, step, check) for item, step in steps]  # both, so that one round tells all
    return 0 if all(done) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted: run `make setup` again, it goes on where it stopped", file=sys.stderr)
        sys.exit(130)
