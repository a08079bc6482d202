"""A Python environment with the torch version of epochtop's libtorch, in the user's cache: all clones share it."""

import os
import pathlib
import subprocess
import sys

import child

TORCH = "2.11.0"
PACKAGES = [f"torch=={TORCH}", "numpy", "safetensors"]
PROBE = "import safetensors, torch; print(torch.__version__)"
OVERRIDE = "EPOCHTOP_BENCH_PYTHON"


def python():
    """The interpreter for the PyTorch side; creates its environment if necessary."""
    named = os.environ.get(OVERRIDE)
    if named:
        version, problem = probe(named)
        if not version:
            raise child.Stop(f"{OVERRIDE}={named}: cannot import torch and safetensors ({problem}): "
                             f"install them there, or unset {OVERRIDE}")
        return named
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = pathlib.Path(cache).expanduser() / "epochtop" / "bench-venv"
    interpreter = str(folder / "bin" / "python")
    if (probe(interpreter)[0] or "").split("+")[0] != TORCH:
        install(folder, interpreter)
    return interpreter


def probe(interpreter):
    """(version of torch in this interpreter, ""), or (None, reason) if torch or safetensors cannot be imported."""
    try:
        done = subprocess.run([interpreter, "-c", PROBE], capture_output=True, text=True)
    except OSError as error:
        return None, str(error)
    if done.returncode:
        return None, child.last_line(done.stderr)
    return done.stdout.strip(), ""


def install(folder, interpreter):
    """Creates the environment, or completes an interrupted installation."""
    print(f"installing torch {TORCH} into {folder} (once; some GB, takes minutes)", file=sys.stderr)
    call([sys.executable, "-m", "venv", str(folder)],
         "install your distribution's venv package (Debian: apt-get install python3-venv)")
    call([interpreter, "-m", "pip", "install", *PACKAGES],
         f"see pip's message above; or name a Python with torch and safetensors in {OVERRIDE}")
    version, problem = probe(interpreter)
    if not version:
        raise child.Stop(f"{folder}: torch was installed but cannot be imported ({problem}): "
                         f"remove the directory and run this again, or set {OVERRIDE}")


def call(command, remedy):
    """Runs an installation step with its output on stderr, because stdout is for the tables."""
    code = subprocess.run(command, stdout=sys.stderr).returncode
    if code:
        raise child.Stop(f"`{' '.join(command)}` failed with exit status {code}: {remedy}")
