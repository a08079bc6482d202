"""Links libtorch to .deps/libtorch and downloads Fashion-MNIST to a directory that the trainer searches.

`scripts/setup.sh` calls this after it has checked the tools. Only the standard library of Python is used; the package
indexes are read from the settings of pip. With --check it only reports. libtorch is stored in the user's cache, so that
all clones share it.
"""

import sys

import data
import libtorch
import tools


AGAIN = "then run `make setup` again to continue"


def attempt(item, step, check):
    """Runs one step; returns whether it succeeded. Prints an error in one line and its remedy in another."""
    try:
        step(check)
        return True
    except tools.Stop as stop:
        problem, remedy = stop, stop.remedy
    except tools.Broken as broken:
        problem, remedy = f"no connection ({broken})", f"check network and proxy, {AGAIN}"
    except OSError as error:
        problem, remedy = error, f"free disk space or grant write access there, {AGAIN}"
    print(f"{item}: {problem}\n{'':<14}remedy: {remedy}", file=sys.stderr)
    return False


def main():
    check = sys.argv[1:] == ["--check"]
    steps = [("libtorch", libtorch.setup), ("fashion-mnist", data.setup)]
    done = [attempt(item, step, check) for item, step in steps]  # run both, so that all errors are reported at once
    return 0 if all(done) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; run `make setup` again to continue", file=sys.stderr)
        sys.exit(130)
