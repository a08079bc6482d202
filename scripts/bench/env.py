"""A Python with the torch that epochtop's libtorch comes from, in the user's cache, for the next clone to share."""

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
    """The interpreter to run the PyTorch side with; makes it if there is none yet."""
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
    """The version of torch that this interpreter imports, or None and why not."""
    try:
        done = subprocess.run([interpreter, "-c", PROBE], capture_output=True, text=True)
    except OSError as error:
        return None, str(error)
    if done.returncode:
        return None, child.last_line(done.stderr)
    return done.stdout.strip(), ""


def install(folder, interpreter):
    """Makes the environment, or completes one that was broken off."""
    print(f"putting torch {TORCH} into {folder}: minutes, some GB, once", file=sys.stderr)
    call([sys.executable, "-m", "venv", str(folder)],
         "install your distribution's venv package (Debian: apt-get install python3-venv)")
    call([interpreter, "-m", "pip", "install", *PACKAGES],
         f"see pip's message above; or name a Python with torch and safetensors in {OVERRIDE}")
    version, problem = probe(interpreter)
    if not version:
        raise child.Stop(f"{folder}: torch was installed but does not import ({problem}): "
                         f"remove the directory and run this again, or set {OVERRIDE}")


def call(command, remedy):
    """Runs an installation step, whose output goes to stderr, since stdout is for the tables."""
    code = subprocess.run(command, stdout=sys.stderr).returncode
    if code:
        raise child.Stop(f"`{' '.join(command)}` ended with {code}: {remedy}")
