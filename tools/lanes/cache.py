# SPDX-License-Identifier: Apache-2.0
"""What lanes keep between runs: Debian's kernel and its KVM modules, not installed."""

import contextlib
import fcntl
import glob
import os
import shutil
import subprocess
import sys
import tempfile

from lanes.errors import LaneError

META_PACKAGE = "linux-image-amd64"
MODULES = ("irqbypass", "ccp", "kvm", "kvm-amd", "kvm-intel")


def directory():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = os.environ.get("MEZZ_LANE_CACHE") or os.path.join(base, "mezz-lanes")
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise LaneError(f"cannot make the cache {path}: {error.strerror}") from error
    return os.path.abspath(path)


@contextlib.contextmanager
def locked(name):
    """Holds the cache's lock `name`: one process fills a part of it while the others wait."""
    with open(os.path.join(directory(), name + ".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def run_directory():
    """A directory for one run, removed at its end. One that a killed run left is removed here too:
    its lock is free."""
    parent = os.path.join(directory(), "runs")
    os.makedirs(parent, exist_ok=True)
    with locked("runs"):
        for old in glob.glob(os.path.join(parent, "*")):
            _remove_if_abandoned(old)
        path = tempfile.mkdtemp(dir=parent)
        alive = open(os.path.join(path, "alive"), "w", encoding="ascii")
        fcntl.flock(alive, fcntl.LOCK_EX)
    try:
        with alive:
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _remove_if_abandoned(path):
    try:
        with open(os.path.join(path, "alive"), encoding="ascii") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    except FileNotFoundError:
        shutil.rmtree(path, ignore_errors=True)
    except OSError:
        pass  # locked: that run is still going on


class Kernel:
    """Paths of one unpacked kernel package."""

    def __init__(self, path):
        self.path = path
        self.image = os.path.join(path, "vmlinuz")

    def module(self, name):
        return os.path.join(self.path, name + ".ko")

    def complete(self):
        return all(map(os.path.exists, [self.image, *map(self.module, MODULES)]))


def kernel():
    """The cached kernel; the first call fetches it."""
    with locked("kernel"):
        found = Kernel(os.path.join(directory(), "kernel"))
        if not found.complete():
            shutil.rmtree(found.path, ignore_errors=True)
            with run_directory() as work:
                _fetch(work)
            if not found.complete():
                raise LaneError(f"the kernel in {found.path} is incomplete")
        return found


def _fetch(work):
    package = _package()
    say(f"fetching {package} (about 70 MB, once)")
    command(["apt-get", "download", "-qq", package], work)
    archives = glob.glob(os.path.join(work, "*.deb"))
    if len(archives) != 1:
        raise LaneError(f"apt-get download {package} left no package")
    tree = os.path.join(work, "tree")
    command(["dpkg-deb", "-x", archives[0], tree], work)

    kept = os.path.join(work, "kernel")
    os.mkdir(kept)
    _keep(tree, "boot/vmlinuz-*", os.path.join(kept, "vmlinuz"))
    for name in MODULES:
        _keep(tree, f"**/{name}.ko", os.path.join(kept, name + ".ko"))
    os.rename(kept, os.path.join(directory(), "kernel"))


def _keep(tree, pattern, target):
    found = glob.glob(os.path.join(tree, pattern), recursive=True)
    if len(found) != 1:
        raise LaneError(f"the kernel package has {len(found)} files like {pattern}, not one")
    shutil.move(found[0], target)


def _package():
    """The package that the meta package stands for today."""
    name = _dependency()
    if name is None:
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        if as_root and not shutil.which("sudo"):
            raise LaneError(f"apt knows no {META_PACKAGE}: run apt-get update as root")
        say("apt has no package lists: running apt-get update")
        command([*as_root, "apt-get", "update", "-qq"], None)
        name = _dependency()
    if name is None:
        raise LaneError(f"apt knows no {META_PACKAGE}: lanes need Debian's package sources")
    return name


def _dependency():
    if not shutil.which("apt-cache"):
        raise LaneError("no apt-cache here: lanes fetch their kernel from Debian's packages")
    listing = subprocess.run(["apt-cache", "depends", META_PACKAGE], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, check=False).stdout
    for line in listing.splitlines():
        kind, _, name = line.strip().partition(": ")
        if kind == "Depends" and name.startswith("linux-image-"):
            return name
    return None


def say(line):
    print(f"lane: {line}", file=sys.stderr, flush=True)


def command(argv, cwd):
    """Runs a tool whose output matters only when it fails."""
    done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LaneError(f"{' '.join(argv[:3])} failed: {last}")
