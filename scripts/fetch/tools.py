"""Shared functions of the downloaders: messages, and downloads over an unreliable connection."""

import errno
import http.client
import os
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent


class Stop(Exception):
    """An error in one line, with its remedy in another."""

    def __init__(self, problem, remedy):
        super().__init__(problem)
        self.remedy = remedy


class NotHere(Exception):
    """This download method does not work on this machine; another one may."""


class Broken(Exception):
    """The connection failed repeatedly."""


def say(item, what, where=""):
    print(f"{item:<14}{what:<17} {where}".rstrip(), flush=True)


def tilde(path):
    home = os.path.expanduser("~")
    path = str(path)
    return "~" + path[len(home) :] if path.startswith(home + os.sep) else path


def need_room(folder, size, variable):
    if shutil.disk_usage(folder).free < size:
        problem = f"{tilde(folder)} has less than {size / 1e6:.0f} MB free"
        raise Stop(problem, f"free disk space, or set {variable} to a directory on another disk")


class Progress:
    """Progress: one updating line on a terminal, otherwise a line per 10 %."""

    def __init__(self, item, total, done=0):
        self.item, self.total, self.done = item, total, done
        self.live = sys.stdout.isatty()
        self.next = done * 10 // total + 1

    def add(self, count):
        self.done += count
        percent, megabytes = self.done * 100 // self.total, f"{self.done / 1e6:.0f} of {self.total / 1e6:.0f} MB"
        text = f"{self.item:<14}{percent:3d} %  {megabytes}"
        if self.live:
            print(f"\r{text}", end="", flush=True)
        elif self.done * 10 // self.total >= self.next:
            self.next = self.done * 10 // self.total + 1
            print(text, flush=True)

    def end(self):
        if self.live:
            print("\r\x1b[K", end="", flush=True)


def host(url):
    return urllib.parse.urlsplit(url).hostname


def opener(cert=None, proxy=None):
    cert = cert or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    cert = cert if cert and os.path.isfile(cert) else None  # Python itself uses SSL_CERT_FILE
    handlers = [urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=cert))]
    if proxy:
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def ask(web, url, headers, patience=1):
    """Opens a URL; retries up to `patience` times on connection errors and HTTP 5xx."""
    for attempt in range(patience + 1):
        try:
            return web.open(urllib.request.Request(url, headers=headers), timeout=30)
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == patience:
                raise NotHere(f"{host(url)} returns {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise NotHere(f"certificate not trusted: {reason.verify_message}") from error
            if attempt == patience:
                raise Broken(f"{host(url)}: {reason}") from error
        time.sleep(2**attempt)
    raise AssertionError("unreachable")


def fetch_span(web, url, start, stop, path, progress=None):
    """Downloads bytes start..stop of a URL to a file, continuing an interrupted download."""
    have = path.stat().st_size if path.exists() else 0
    failures = 0
    while have < stop - start:
        before = have
        try:
            with ask(web, url, {"Range": f"bytes={start + have}-{stop - 1}"}, patience=3) as answer:
                if answer.status != 206:
                    raise NotHere("the server does not support partial downloads")
                with open(path, "ab") as file:
                    while block := answer.read(min(1 << 18, stop - start - have)):
                        file.write(block)
                        have += len(block)
                        if progress:
                            progress.add(len(block))
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) == errno.ENOSPC:  # a retry cannot succeed
                raise
            failures = failures + 1 if have == before else 0
            if failures > 3:
                raise Broken(f"{host(url)}: {error}") from error
            time.sleep(1 + failures)
    return path
