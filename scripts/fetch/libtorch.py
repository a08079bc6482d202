"""libtorch: finds an installed one or downloads the CPU part of the PyTorch wheel; links .deps/libtorch to it."""

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

VERSION = "2.11"  # required by tch 0.24
LINK = tools.REPO / ".deps" / "libtorch"  # used by .cargo/config.toml
CACHE_NAME = "libtorch-2.11.0-cpu"
# With an NVIDIA driver the complete wheel is installed with its CUDA libraries. They find each other by relative paths,
# so pip installs them into one directory; its subdirectory torch is the libtorch.
CUDA_NAME = "libtorch-2.11.0-cuda"
CUDA_BYTES = 5_000_000_000  # on disk, roughly
STAMP = ".complete"  # sizes of the libraries; written last

# The CPU part of the PyTorch wheel, and the two CUDA libraries that libtorch_cpu.so links against even without a GPU.
# Members as (path in the wheel, path in our directory); a path that ends in "/" is a complete directory.
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
# SHA-256 over the lines "digest  path" of all extracted files, sorted by path. A part of a wheel cannot be verified
# with the checksum of the wheel; this checksum verifies the extracted files, however they were downloaded.
LAYOUT_SHA256 = "21c8889b8b2d8938f674cd0cffe09b734bf1eacb3c1b567ea44d74b9b7d7feb2"
LAYOUT_BYTES = 500_000_000  # on disk, roughly
TAIL_BYTES = 2 << 20  # large enough for the table of contents of each of these wheels


def describe(folder):
    """Returns (version, kind) of a libtorch directory, for example ("2.11.0", "cuda"), or its problem as text."""
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
        return "has an unknown version (no build-version, no version.py)"
    if not found[1].startswith(VERSION + "."):
        return f"is version {found[1]}, not {VERSION}"
    return found[1], "cuda" if (folder / "lib/libtorch_cuda.so").exists() else "cpu"


def _has_size(path, size):
    return path.is_file() and path.stat().st_size == size


def cache_folder():
    """The cache directory of the user, or .deps if that is not writable."""
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
        # Cargo would resolve a relative path against the crate being built.
        chosen = Path(own)
        result = describe(chosen) if chosen.is_absolute() else "is not an absolute path"
        if isinstance(result, str):
            raise tools.Stop(
                f"LIBTORCH={own} {result}", f"point it at a libtorch {VERSION}, or unset it to download one"
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
            raise tools.Stop("libtorch is missing", f"make setup (downloads {size}), or LIBTORCH=/path make setup")
        chosen, origin = locked(fetch_cuda if cuda else fetch_libtorch), "downloaded"
    version, kind = describe(chosen)
    if not check:
        point_link_at(chosen)
    elif not own and LINK.resolve() != chosen.resolve():
        raise tools.Stop(f"{tools.tilde(chosen)} exists, but .deps/libtorch does not point to it", "make setup")
    tools.say("libtorch", f"{version} {kind}", f"found in {tools.tilde(chosen)}" + (f" ({origin})" if origin else ""))
    if kind == "cpu" and has_driver():
        tools.say("", "for the GPU:", "unset LIBTORCH, EPOCHTOP_CUDA; leave the Python environment, run `make setup`")


def described(folder):
    """The (version, kind) of a usable directory, else None."""
    result = describe(folder)
    return result if isinstance(result, tuple) else None


def has_driver():
    return any(map(os.path.exists, ("/proc/driver/nvidia/version", "/dev/nvidiactl")))


def wants_cuda():
    """Whether to use libtorch with CUDA: EPOCHTOP_CUDA=1 or 0; by default, if there is an NVIDIA driver."""
    return {"0": False, "1": True}.get(os.environ.get("EPOCHTOP_CUDA", ""), has_driver())


def active_torch():
    """Finds the torch of the active Python environment without importing it, which would take seconds."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.origin:
        return None, ""
    folder = Path(spec.origin).parent
    result = describe(folder)
    if isinstance(result, str):
        tools.say("libtorch", "skipped", f"{tools.tilde(folder)} {result}")
        return None, ""
    return folder, "the active Python environment"


def point_link_at(folder):
    if LINK.is_dir() and not LINK.is_symlink():
        if LINK.samefile(folder) or os.environ.get("LIBTORCH"):
            return  # installed there by hand; with LIBTORCH set, Cargo does not use it
        raise tools.Stop(
            ".deps/libtorch is a directory that this script did not create", "move it away, or set LIBTORCH to it"
        )
    if LINK.is_symlink() and LINK.resolve() == folder.resolve():
        return
    LINK.parent.mkdir(exist_ok=True)
    fresh = LINK.parent / f".link-{os.getpid()}"
    fresh.symlink_to(folder)
    fresh.replace(LINK)


def locked(fetch):
    """Downloads under a lock, so that only one set-up at a time does."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tools.say("libtorch", "waiting", "another set-up is downloading it")
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
        tools.say("libtorch", "complete wheels", f"with pip, 540 MB ({reason})")
        result = assemble(fetch_whole(download), cache)
    if target.exists():
        shutil.rmtree(target)
    result.rename(target)
    shutil.rmtree(download, ignore_errors=True)
    return target


def fetch_cuda(cache):
    """Installs the complete torch wheel and its CUDA libraries with pip into a separate directory."""
    target = cache / CUDA_NAME
    if (target / STAMP).exists() and described(target / "torch"):
        return target / "torch"
    tools.need_room(cache, CUDA_BYTES + 3_000_000_000, "XDG_CACHE_HOME")
    tools.say("libtorch", "fetching 2.5 GB", "torch 2.11.0 with CUDA, by pip; EPOCHTOP_CUDA=0 selects the CPU version")
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--only-binary=:all:", "--no-cache-dir", "--target", str(target)]
    command += ["--implementation=cp", "--python-version=3.11"]
    # pip selects platforms by name, and the CUDA wheels were built for different ones.
    names = [f"manylinux_2_{minor}" for minor in range(28, 4, -1)] + ["manylinux2014", "manylinux2010", "manylinux1"]
    command += [f"--platform={name}_x86_64" for name in names]
    command += [] if sys.stdout.isatty() else ["--progress-bar=off"]
    # For use without Python, the dependencies declared by torch on Linux are sufficient.
    if subprocess.run([*command, "torch==2.11.0"], check=False).returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        remedy = "run EPOCHTOP_CUDA=0 make setup for the CPU version, or set LIBTORCH to an installed libtorch"
        raise tools.Stop("pip could not install torch 2.11.0 with CUDA (see its error above)", remedy)
    result = describe(target / "torch")
    if not isinstance(result, tuple) or result[1] != "cuda":
        problem = f"the installation by pip in {tools.tilde(target)} is not a CUDA libtorch: {result}"
        raise tools.Stop(problem, "run make setup again")
    (target / STAMP).write_text("torch 2.11.0\n")
    return target / "torch"


def pip_settings():
    """The package indexes in the settings of pip, and an opener with its proxy and certificates."""
    try:
        from pip._internal.commands import create_command

        options = create_command("download").parse_args([])[0]
        indexes = [options.index_url, *options.extra_index_urls]
        if options.no_index or options.trusted_hosts or "@" in "".join(indexes):
            raise tools.NotHere("pip has settings that only pip supports")
        return indexes, tools.opener(options.cert, options.proxy)
    except (ImportError, AttributeError, TypeError) as error:  # the internal API of pip changes between versions
        raise tools.NotHere(f"the settings of this pip cannot be read ({error})") from error


def fetch_parts(folder):
    """Downloads the needed quarter of the wheels: the tables of contents, then the byte range with all members."""
    indexes, web = pip_settings()
    jobs = []
    for requirement, name, digest, members in WHEELS:
        url = wheel_url(web, indexes, requirement.split("==")[0], name, digest)
        with tools.ask(web, url, {"Range": "bytes=0-0"}) as answer:
            size = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status != 206 or not size.isdigit():
            raise tools.NotHere("the server does not support partial downloads")
        wheel, size = folder / name, int(size)
        tail_at = max(0, size - TAIL_BYTES)
        tail = tools.fetch_span(web, url, tail_at, size, folder / f"{name}.tail.part")
        # A sparse file with the full length of the wheel, so that zipfile can read it.
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
    resumed = f", {done / 1e6:.0f} MB already downloaded" if done else ""
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
    """Finds the URL of a wheel by its checksum in the package indexes; each index has one page of links per project."""
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
    """Downloads the complete wheels with pip, which supports credentials, local directories and unusual certificates.

    This cannot be resumed.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{requirement} --hash=sha256:{digest}\n" for requirement, _, digest, _ in WHEELS))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation=cp", "--python-version=3.11"]
    command += [f"--platform={name}_x86_64" for name in ("manylinux_2_28", "manylinux_2_25", "manylinux2014")]
    command += ["--require-hashes", "--requirement", str(requirements), "--dest", str(folder)]
    command += [] if sys.stdout.isatty() else ["--progress-bar=off"]
    for stale in folder.glob("*.whl"):
        stale.unlink()  # may be an incomplete sparse file
    if subprocess.run(command, check=False).returncode != 0:
        remedy = f"set LIBTORCH to a libtorch {VERSION}, or activate a Python environment that has torch {VERSION}"
        raise tools.Stop("pip could not download the torch 2.11.0 wheel (see its error above)", remedy)
    return [folder / name for _, name, _, _ in WHEELS]


def open_wheel(path):
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        path.unlink()
        for part in path.parent.glob(f"{path.name}*.part"):
            part.unlink()
        raise tools.NotHere(f"the download of {path.name} is damaged") from error


def pick(archive, members):
    """Returns (entry, path in our directory) of all needed members of a wheel."""
    picked = []
    for source, target in members:
        for info in archive.infolist():
            inside = source.endswith("/") and info.filename.startswith(source)
            if not info.is_dir() and (inside or info.filename == source):
                picked.append((info, target + info.filename[len(source) :]))
    return picked


def assemble(wheels, cache):
    """Extracts the members into a new directory, verifies them, and adds the remaining files."""
    for stale in cache.glob(".libtorch-*"):  # no other process writes there: this process has the lock
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
        problem = f"the downloaded libtorch is damaged ({error}) and was deleted"
        raise tools.Stop(problem, "run make setup again") from error
    except BaseException:
        shutil.rmtree(result)
        raise
    # torch-sys links "torch", but all code is in libtorch_cpu.so, so libtorch.so is a linker script that refers to it.
    (result / "lib/libtorch.so").write_text("INPUT(AS_NEEDED(libtorch_cpu.so))\n")
    (result / "build-version").write_text("2.11.0\n")
    libraries = sorted((result / "lib").iterdir())
    (result / STAMP).write_text(json.dumps({f"lib/{path.name}": path.stat().st_size for path in libraries}) + "\n")
    return result
