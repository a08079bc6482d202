"""Fashion-MNIST: searches the directories of the trainer, verifies the files, and downloads them if missing."""

import gzip
import hashlib
import http.client
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import tools

# SHA-256 of each file: unpacked; as published by Zalando Research (their README has the MD5); as packaged by Debian.
# The compressed files differ only in the gzip header: Debian omits the file name and time.
DATA = {
    "train-images-idx3-ubyte": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    ),
    "train-labels-idx1-ubyte": (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    ),
    "t10k-images-idx3-ubyte": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    ),
    "t10k-labels-idx1-ubyte": (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    ),
}
DATA_SOURCES = [
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
]
DEBIAN_PACKAGE = "dataset-fashion-mnist"


def data_home():
    base = os.environ.get("XDG_DATA_HOME", "")
    base = Path(base) if os.path.isabs(base) else Path.home() / ".local/share"
    return base / "epochtop" / "fashion-mnist"


def data_file(folder, name):
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def digest_of(stream):
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def is_genuine(path, known):
    with open(path, "rb") as file:
        if digest_of(file) in known:
            return True
    if path.suffix != ".gz":
        return False
    try:  # compressed by another tool: verify the unpacked content
        with gzip.open(path) as file:
            return digest_of(file) == known[0]
    except (OSError, EOFError, ValueError, gzip.zlib.error):
        return False


def inspect_data(folder):
    """Returns None if no file is there, "" if all four files are there and verified, else the problem."""
    files = {name: data_file(folder, name) for name in DATA}
    if not any(files.values()):
        return None
    if missing := [name for name, path in files.items() if path is None]:
        return f"{missing[0]} is missing"
    bad = [path.name for name, path in files.items() if not is_genuine(path, DATA[name])]
    return f"{bad[0]} is damaged (checksum differs)" if bad else ""


def look_in(place, own=None):
    """Returns whether the data is there. A wrong EPOCHTOP_DATA (`own`) is reported, not skipped silently."""
    for folder in (place, place / "FashionMNIST" / "raw"):
        problem = inspect_data(folder)
        if problem == "":
            tools.say("fashion-mnist", "4 files", f"found in {tools.tilde(folder)}")
            return True
        if problem and own:
            remedy = "put all four files of Fashion-MNIST there, or unset EPOCHTOP_DATA"
            raise tools.Stop(f"EPOCHTOP_DATA={own}: {problem}", remedy)
        if problem:
            tools.say("fashion-mnist", "skipped", f"{tools.tilde(folder)}: {problem}")
    if own:
        tools.say("fashion-mnist", "skipped", f"EPOCHTOP_DATA={own} has no Fashion-MNIST files")
    return False


def setup(check):
    own = os.environ.get("EPOCHTOP_DATA")
    if own and look_in(Path(own), own):
        return
    places = (data_home(), Path("/usr/share/datasets/fashion-mnist"), tools.REPO)
    if any(look_in(place) for place in places):
        return
    if check:
        raise tools.Stop("Fashion-MNIST is missing", "make setup (downloads 31 MB)")
    fetch_data(data_home())


def fetch_data(target):
    tools.say("fashion-mnist", "fetching 31 MB")
    target.parent.mkdir(parents=True, exist_ok=True)
    tools.need_room(target.parent, 150_000_000, "XDG_DATA_HOME")  # for the package, its content and the package lists
    reasons = []
    with tempfile.TemporaryDirectory(prefix=".fashion-mnist-", dir=target.parent) as work:
        work = Path(work)
        for way in (data_from_debian, data_from_origin):
            try:
                source, origin = way(work)
                problem = inspect_data(source)
                if problem != "":
                    raise tools.NotHere(problem or "no files received")
                target.mkdir(exist_ok=True)
                for name in DATA:  # each file is moved atomically, so two concurrent set-ups do not conflict
                    path = data_file(source, name)
                    path.replace(target / path.name)
                tools.say("fashion-mnist", "4 files", f"in {tools.tilde(target)} (from {origin})")
                return
            except (tools.NotHere, tools.Broken) as reason:
                reasons.append(str(reason))
    remedy = (
        f"check network and proxy, or copy the four files to {tools.tilde(target)}, or to where EPOCHTOP_DATA points"
    )
    raise tools.Stop(f"Fashion-MNIST could not be downloaded ({'; '.join(reasons)})", remedy)


def data_from_debian(work):
    """Gets the Debian or Ubuntu package without root: apt-get downloads and verifies it, dpkg-deb unpacks it."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise tools.NotHere("apt-get is not available")
    package = work / "package"
    package.mkdir()
    # If the package lists of the machine are empty or outdated, a second attempt downloads separate lists.
    private = [f"Dir::State::Lists={work}/lists", f"Dir::Cache={work}/cache"]
    (work / "lists" / "partial").mkdir(parents=True)
    (work / "cache" / "archives" / "partial").mkdir(parents=True)
    fetched = apt(package, [], "download", DEBIAN_PACKAGE)
    if not fetched and apt(package, private, "update"):
        fetched = apt(package, private, "download", DEBIAN_PACKAGE)
    if not fetched:
        raise tools.NotHere(f"apt-get cannot download {DEBIAN_PACKAGE}")
    for archive in package.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(archive), str(work / "x")], check=False)
    return work / "x/usr/share/datasets/fashion-mnist", f"the Debian package {DEBIAN_PACKAGE}"


def apt(folder, settings, *command):
    # As root, apt-get would otherwise switch to a user without write access here.
    settings = [*settings, "APT::Sandbox::User=root"]
    settings += ["Acquire::Retries=1", "Acquire::http::Timeout=20", "Acquire::https::Timeout=20"]
    flags = [word for setting in settings for word in ("-o", setting)]
    result = subprocess.run(["apt-get", "-qq", *flags, *command], cwd=folder, capture_output=True, check=False)
    return result.returncode == 0


def data_from_origin(work):
    """Downloads the files from the original publishers."""
    folder = work / "origin"
    folder.mkdir()
    web, reasons = tools.opener(), []
    for source in DATA_SOURCES:
        try:
            for name in DATA:
                with tools.ask(web, f"{source}{name}.gz", {}) as answer, open(folder / f"{name}.gz", "wb") as file:
                    shutil.copyfileobj(answer, file)
            return folder, tools.host(source)
        except (tools.NotHere, tools.Broken, OSError, http.client.HTTPException) as reason:
            reasons.append(str(reason))
    raise tools.NotHere("; ".join(reasons))
