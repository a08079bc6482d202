"""libtorch: the one that is there already, or the CPU part of PyTorch's wheel; .deps/libtorch points at it."""

import contextlib
import fcntl
import hashlib
import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import zipfile
import zlib
from pathlib import Path

import tools

VERSION = "2.11"  # what tch 0.24 is written for
LINK = tools.REPO / ".deps" / "libtorch"  # where .cargo/config.toml points
CACHE_NAME = "libtorch-2.11.0-cpu"
# With an NVIDIA driver the whole wheel is installed, with the CUDA libraries it depends on. They find each other by where
# they lie, so pip puts them side by side into one folder; torch's own is the libtorch.
CUDA_NAME = "libtorch-2.11.0-cuda"
CUDA_BYTES = 5_000_000_000  # on disk, roughly
STAMP = ".complete"  # sizes of the libraries; written last

# The CPU part of PyTorch's wheel, and the two CUDA libraries that libtorch_cpu.so names although it runs without a GPU.
# Members as (path in the wheel, path in the layout); a path that ends in "/" is a whole folder.
WHEELS = [
    (
        "torch==2.11.0",
        "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
        [
            ("torch/include/", "include/"),
            ("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so"),
            ("torch/lib/libc10.so", "lib/libc10.so"),
            ("torch/lib/libgomp.so.1", "lib/libgomp.so.1"),
        ],
    ),
    (
        "nvidia-cuda-runtime==13.0.96",
        "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        [("nvidia/cu13/lib/libcudart.so.13", "lib/libcudart.so.13")],
    ),
    (
        "nvidia-cuda-cupti==13.0.85",
        "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        [("nvidia/cu13/lib/libcupti.so.13", "lib/libcupti.so.13")],
    ),
]
# SHA-256 over "digest  path" of every extracted file, in order of path. A part of a wheel cannot be checked against the
# wheel's own checksum; this one checks what is really used, whichever way it came.
LAYOUT_SHA256 = "21c8889b8b2d8938f674cd0cffe09b734bf1eacb3c1b567ea44d74b9b7d7feb2"
LAYOUT_BYTES = 500_000_000  # on disk, roughly
TAIL_BYTES = 2 << 20  # holds the table of contents of each of these wheels


def describe(folder):
    """("2.11.0", "cuda") of a libtorch folder, or what it lacks, as text."""
    for part in ("lib/libtorch_cpu.so", "include/torch/csrc/api/include/torch/torch.h"):
        if not (folder / part).is_file():
            return f"has no {part}"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        sizes = json.loads((folder / STAMP).read_text())
        if bad := [name for name, size in sizes.items() if not _has_size(folder / name, size)]:
            return f"has a damaged {bad[0]}"
    text = ""
    for name in ("build-version", "version.py"):
        with contextlib.suppress(OSError):
            text += (folder / name).read_text() + "\n"
    found = re.search(r"(?:^|__version__ = ')(\d+\.\d+\.\d+)", text)
    if not found:
        return "does not tell its version (no build-version, no version.py)"
    if not found[1].startswith(VERSION + "."):
        return f"is version {found[1]}, not {VERSION}"
    return found[1], "cuda" if (folder / "lib/libtorch_cuda.so").exists() else "cpu"


def _has_size(path, size):
    return path.is_file() and path.stat().st_size == size


def cache_folder():
    """The user's cache, or .deps where that cannot be written."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    near = base
    while not os.path.exists(near):
        near = near.parent
    return base / "epochtop" if os.access(near, os.W_OK) else tools.REPO / ".deps"


def setup(check):
    chosen = None
    own = os.environ.get("LIBTORCH")
    if own:
        # Cargo would take a relative path as relative to the crate being built.
        chosen = Path(own)
        result = describe(chosen) if chosen.is_absolute() else "is not an absolute path"
        if isinstance(result, str):
            raise tools.Stop(
                f"LIBTORCH={own} {result}", f"point it at a libtorch {VERSION}, or unset it to have one fetched"
            )
        origin = "LIBTORCH"
    else:
        chosen, origin = active_torch()
    cuda = wants_cuda()
    if chosen is None:
        found = described(LINK)
        if found and (found[1] == "cuda" or not cuda):
            chosen, origin = LINK.resolve(), ""
    if chosen is None:
        cached = cache_folder() / (f"{CUDA_NAME}/torch" if cuda else CACHE_NAME)
        if described(cached) and (not cuda or (cached.parent / STAMP).exists()):
            chosen, origin = cached, "the cache"
    if chosen is None:
        if check:
            size = "2.5 GB, for the GPU" if cuda else "133 MB"
            raise tools.Stop("libtorch is missing", f"make setup (fetches {size}), or LIBTORCH=/path make setup")
        chosen, origin = locked(fetch_cuda if cuda else fetch_libtorch), "fetched"
    version, kind = describe(chosen)
    if not check:
        point_link_at(chosen)
    elif not own and LINK.resolve() != chosen.resolve():
        raise tools.Stop(f"{tools.tilde(chosen)} is there, but .deps/libtorch does not point at it", "make setup")
    tools.say("libtorch", f"{version} {kind}", f"found in {tools.tilde(chosen)}" + (f" ({origin})" if origin else ""))
    if kind == "cpu" and has_driver():
        tools.say("", "for the GPU:", "unset LIBTORCH and EPOCHTOP_CUDA, leave the Python environment, then `make setup`")


def described(folder):
    """What describe says of a usable folder, else None."""
    result = describe(folder)
    return result if isinstance(result, tuple) else None


def has_driver():
    return any(map(os.path.exists, ("/proc/driver/nvidia/version", "/dev/nvidiactl")))


def wants_cuda():
    """The full set where there is an NVIDIA driver; EPOCHTOP_CUDA=1 or 0 decides otherwise."""
    return {"0": False, "1": True}.get(os.environ.get("EPOCHTOP_CUDA", ""), has_driver())


def active_torch():
    """The torch of the active Python environment, found without importing it, which takes seconds."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.origin:
        return None, ""
    folder = Path(spec.origin).parent
    result = describe(folder)
    if isinstance(result, str):
        tools.say("libtorch", "passed over", f"{tools.tilde(folder)} {result}")
        return None, ""
    return folder, "the active Python environment"


def point_link_at(folder):
    if LINK.is_dir() and not LINK.is_symlink():
        if LINK.samefile(folder) or os.environ.get("LIBTORCH"):
            return  # somebody put a libtorch there by hand; with LIBTORCH set, Cargo does not look at it
        raise tools.Stop(
            ".deps/libtorch is a folder that this script did not make", "move it away, or set LIBTORCH to it"
        )
    if LINK.is_symlink() and LINK.resolve() == folder.resolve():
        return
    LINK.parent.mkdir(exist_ok=True)
    fresh = LINK.parent / f".link-{os.getpid()}"
    fresh.symlink_to(folder)
    fresh.replace(LINK)


def locked(fetch):
    """Fetches while no other set-up does."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tools.say("libtorch", "waiting", "another set-up is fetching it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        return fetch(cache)


def fetch_libtorch(cache):
    target = cache / CACHE_NAME
    if described(target):
        return target
    tools.need_room(cache, LAYOUT_BYTES + 200_000_000, "XDG_CACHE_HOME")
    download = cache / "download"
    download.mkdir(exist_ok=True)
    try:
        wheels = fetch_parts(download)
        result = assemble(wheels, cache)
    except tools.NotHere as reason:
        tools.say("libtorch", "whole wheels", f"with pip, 540 MB ({reason})")
        result = assemble(fetch_whole(download), cache)
    if target.exists():
        shutil.rmtree(target)
    result.rename(target)
    shutil.rmtree(download, ignore_errors=True)
    return target


def fetch_cuda(cache):
    """The whole torch wheel and the CUDA libraries it depends on, installed by pip into a folder of their own."""
    target = cache / CUDA_NAME
    if (target / STAMP).exists() and described(target / "torch"):
        return target / "torch"
    tools.need_room(cache, CUDA_BYTES + 3_000_000_000, "XDG_CACHE_HOME")
    tools.say("libtorch", "fetching 2.5 GB", "torch 2.11.0 with CUDA, by pip; EPOCHTOP_CUDA=0 does without")
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--only-binary=:all:", "--no-cache-dir", "--target", str(target)]
    command += ["--implementation=cp", "--python-version=3.11"]
    # pip takes platforms by name, and each of the CUDA wheels was built for another.
    names = [f"manylinux_2_{minor}" for minor in range(28, 4, -1)] + ["manylinux2014", "manylinux2010", "manylinux1"]
    command += [f"--platform={name}_x86_64" for name in names]
    command += [] if sys.stdout.isatty() else ["--progress-bar=off"]
    # Other programs than Python's need no more of it than what torch itself says it needs on Linux.
    if subprocess.run([*command, "torch==2.11.0"], check=False).returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        remedy = "EPOCHTOP_CUDA=0 make setup takes the CPU part alone; LIBTORCH names a libtorch that is there"
        raise tools.Stop("pip could not install torch 2.11.0 with CUDA (its reason is above)", remedy)
    result = describe(target / "torch")
    if not isinstance(result, tuple) or result[1] != "cuda":
        raise tools.Stop(f"what pip installed in {tools.tilde(target)} is no CUDA libtorch: {result}", "try again")
    (target / STAMP).write_text("torch 2.11.0\n")
    return target / "torch"


def pip_settings():
    """The package indexes that pip would ask, and the way to them: its proxy and certificates."""
    try:
        from pip._internal.commands import create_command

        options = create_command("download").parse_args([])[0]
        indexes = [options.index_url, *options.extra_index_urls]
        if options.no_index or options.trusted_hosts or "@" in "".join(indexes):
            raise tools.NotHere("pip is set up in a way that only pip understands")
        return indexes, tools.opener(options.cert, options.proxy)
    except (ImportError, AttributeError, TypeError) as error:  # pip moves its inner parts now and then
        raise tools.NotHere(f"this pip does not tell its settings ({error})") from error


def fetch_parts(folder):
    """The needed quarter of the wheels: their tables of contents, then the stretch of bytes that holds all members."""
    indexes, web = pip_settings()
    jobs = []
    for requirement, name, digest, members in WHEELS:
        url = wheel_url(web, indexes, requirement.split("==")[0], name, digest)
        with tools.ask(web, url, {"Range": "bytes=0-0"}) as answer:
            size = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status != 206 or not size.isdigit():
            raise tools.NotHere("the server does not send parts of files")
        wheel, size = folder / name, int(size)
        tail_at = max(0, size - TAIL_BYTES)
        tail = tools.fetch_span(web, url, tail_at, size, folder / f"{name}.tail.part")
        # A file of the wheel's full length, with a hole where nothing is needed, so that zipfile can read it.
        with open(wheel, "wb") as file:
            file.seek(tail_at)
            file.write(tail.read_bytes())
        with open_wheel(wheel) as archive:
            wanted = [info for info, _ in pick(archive, members)]
            table = archive.start_dir
            offsets = sorted(info.header_offset for info in archive.infolist())
        start = min(info.header_offset for info in wanted)
        last = max(info.header_offset for info in wanted)
        stop = next((offset for offset in offsets if offset > last), table)
        jobs.append((url, start, stop, folder / f"{name}.part", wheel))
    total = sum(stop - start for _, start, stop, _, _ in jobs)
    done = sum(part.stat().st_size for _, _, _, part, _ in jobs if part.exists())
    resumed = f", {done / 1e6:.0f} MB are here already" if done else ""
    tools.say("libtorch", f"fetching {total / 1e6:.0f} MB", f"the CPU part of the torch 2.11.0 wheel{resumed}")
    progress = tools.Progress("libtorch", total, done)
    for url, start, stop, part, wheel in jobs:
        tools.fetch_span(web, url, start, stop, part, progress)
        with open(wheel, "r+b") as file, open(part, "rb") as body:
            file.seek(start)
            shutil.copyfileobj(body, file, 1 << 20)
    progress.end()
    return [wheel for _, _, _, _, wheel in jobs]


def wheel_url(web, indexes, project, name, digest):
    """Finds a wheel by its checksum in the package indexes that pip uses: each has a page of links per project."""
    for index in indexes:
        try:
            with tools.ask(web, f"{index.rstrip('/')}/{project}/", {"Accept": "text/html"}) as answer:
                base, page = answer.geturl(), answer.read().decode()
        except tools.NotHere:
            continue
        links = [link for link in re.findall(r'href="([^"]+)"', page) if f"#sha256={digest}" in link]
        if links:
            return urllib.parse.urljoin(base, html.unescape(links[0]).partition("#")[0])
    raise tools.NotHere(f"no package index offers {name}")


def fetch_whole(folder):
    """The wheels in full, by pip itself, which knows credentials, local folders and odd certificates. Not resumable."""
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{requirement} --hash=sha256:{digest}\n" for requirement, _, digest, _ in WHEELS))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation=cp", "--python-version=3.11"]
    command += [f"--platform={name}_x86_64" for name in ("manylinux_2_28", "manylinux_2_25", "manylinux2014")]
    command += ["--require-hashes", "--requirement", str(requirements), "--dest", str(folder)]
    command += [] if sys.stdout.isatty() else ["--progress-bar=off"]
    for stale in folder.glob("*.whl"):
        stale.unlink()  # may be one with a hole
    if subprocess.run(command, check=False).returncode != 0:
        remedy = f"set LIBTORCH to a libtorch {VERSION}, or activate a Python environment that has torch {VERSION}"
        raise tools.Stop("pip could not download the torch 2.11.0 wheel (its reason is above)", remedy)
    return [folder / name for _, name, _, _ in WHEELS]


def open_wheel(path):
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        path.unlink()
        for part in path.parent.glob(f"{path.name}*.part"):
            part.unlink()
        raise tools.NotHere(f"what came of {path.name} cannot be read") from error


def pick(archive, members):
    """(entry, path in the layout) of all that is needed from a wheel."""
    picked = []
    for source, target in members:
        for info in archive.infolist():
            inside = source.endswith("/") and info.filename.startswith(source)
            if not info.is_dir() and (inside or info.filename == source):
                picked.append((info, target + info.filename[len(source) :]))
    return picked


def assemble(wheels, cache):
    """Extracts the layout into a fresh folder, checks it, and completes it."""
    for stale in cache.glob(".libtorch-*"):  # we hold the lock: nobody is writing there
        shutil.rmtree(stale)
    result = Path(tempfile.mkdtemp(prefix=".libtorch-", dir=cache))
    result.chmod(0o755)
    digests = {}
    try:
        for wheel, (_, _, _, members) in zip(wheels, WHEELS):
            with open_wheel(wheel) as archive:
                for info, name in pick(archive, members):
                    path = result / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    digest = hashlib.sha256()
                    with archive.open(info) as source, open(path, "wb") as file:
                        while block := source.read(1 << 20):
                            digest.update(block)
                            file.write(block)
                    digests[name] = digest.hexdigest()
        listing = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
        if hashlib.sha256(listing.encode()).hexdigest() != LAYOUT_SHA256:
            raise zipfile.BadZipFile("checksum differs")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        shutil.rmtree(result)
        shutil.rmtree(wheels[0].parent)
        problem = f"the downloaded libtorch is damaged ({error}) and was thrown away"
        raise tools.Stop(problem, "make setup fetches it again") from error
    except BaseException:
        shutil.rmtree(result)
        raise
    # torch-sys links "torch" by name, but all code is in libtorch_cpu.so: a line for the linker says so.
    (result / "lib/libtorch.so").write_text("INPUT(AS_NEEDED(libtorch_cpu.so))\n")
    (result / "build-version").write_text("2.11.0\n")
    libraries = sorted((result / "lib").iterdir())
    (result / STAMP).write_text(json.dumps({f"lib/{path.name}": path.stat().st_size for path in libraries}) + "\n")
    return result
