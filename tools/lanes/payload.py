# SPDX-License-Identifier: Apache-2.0
"""What goes into a lane: a small system (the base) and one job, both as initramfs archives."""

import os
import re
import shlex
import shutil
import stat
import subprocess
import time
from dataclasses import dataclass, field

from lanes.errors import LaneError
from lanes.newc import Archive

INSIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside")
BASE = ("init", "await-job")
ELF_CLASS_64 = 2
ET_EXEC, ET_DYN = 2, 3
PT_INTERP = 3


@dataclass
class Job:
    """One command and its files. Paths inside are relative to the working directory, or absolute."""

    command: list
    files: dict = field(default_factory=dict)  # path inside -> path outside
    data: dict = field(default_factory=dict)  # the same, of files that nobody executes
    texts: dict = field(default_factory=dict)  # path inside -> content
    gets: list = field(default_factory=list)  # (path inside, path outside), fetched afterwards
    vendor_options: str = ""
    timeout: float = 300.0

    def add_tree(self, directory, inside=""):
        for parent, _, names in os.walk(directory):
            below = os.path.join(inside, os.path.relpath(parent, directory))
            for name in names:
                self.files[os.path.normpath(os.path.join(below, name))] = os.path.join(parent, name)


def write_base(out, kernel, modules):
    """A busybox system that has `modules` and ends by running /lane/job."""
    archive = Archive(out)
    for path in ("dev", "proc", "sys", "tmp", "root"):
        archive.directory(path)
    archive.character_device("dev/console", 5, 1)
    archive.file("etc/passwd", b"root:x:0:0::/tmp:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n")
    archive.file("etc/group", b"root:x:0:\nkvm:x:106:user\nuser:x:1000:\n")
    busybox = _busybox()
    archive.copy("bin/busybox", busybox)
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True,
                                 check=True).stdout.split():
        if applet != "busybox":
            archive.symlink(f"bin/{applet}", "busybox")
    archive.symlink("usr/bin", "/bin")
    for module in modules:
        archive.copy(f"lib/modules/{module}.ko", kernel.module(module))
    for script in BASE:
        archive.copy(script, os.path.join(INSIDE, script))
    archive.close()


def write_job(out, job, vendor_module):
    """The job's files in /w, the libraries that they need, and the command."""
    archive = Archive(out)
    archive.directory("w")
    for inside, outside in sorted({**job.data, **job.files}.items()):
        if not os.path.isfile(outside):
            raise LaneError(f"no such file: {outside}")
        archive.copy(os.path.join("w", inside), outside)
    for inside, text in sorted(job.texts.items()):
        archive.file(f"w/{inside}", text.encode())
    for library in _libraries(job.files.values()):
        archive.copy(library, library)
    archive.copy("lane/job", os.path.join(INSIDE, "job"))
    archive.file("lane/command", f"exec {shlex.join(job.command)}\n".encode())
    archive.file("lane/get", "".join(f"{inside}\n" for inside, _ in job.gets).encode())
    settings = {"vendor_module": vendor_module, "vendor_options": job.vendor_options,
                "now": str(int(time.time()))}
    archive.file("lane/settings", "".join(f"{name}={shlex.quote(value)}\n"
                                          for name, value in settings.items()).encode())
    archive.close()


def _busybox():
    path = shutil.which("busybox")
    if path is None or _is_dynamic(path):
        raise LaneError("no static busybox here: install busybox-static")
    return path


def _libraries(paths):
    found = set()
    for path in filter(_is_dynamic, paths):
        listing = subprocess.run(["ldd", path], stdin=subprocess.DEVNULL, capture_output=True,
                                 text=True, check=False).stdout
        missing = re.search(r"(\S+) => not found", listing)
        if missing:
            raise LaneError(f"{path} needs {missing[1]}, which is not on this machine")
        found.update(re.findall(r"(/\S+) \(0x", listing))
    return sorted(found)


def _is_dynamic(path):
    """Whether `path` is an executable that names a dynamic loader. The images of guests do not, and
    must never reach ldd."""
    if not os.stat(path).st_mode & stat.S_IXUSR:
        return False
    with open(path, "rb") as file:
        header = file.read(64)
        if header[:4] != b"\x7fELF" or len(header) < 64 or header[4] != ELF_CLASS_64:
            return False
        if int.from_bytes(header[16:18], "little") not in (ET_EXEC, ET_DYN):
            return False
        offset = int.from_bytes(header[32:40], "little")
        size, count = (int.from_bytes(header[at:at + 2], "little") for at in (54, 56))
        for number in range(count):
            file.seek(offset + number * size)
            if file.read(4) == PT_INTERP.to_bytes(4, "little"):
                return True
    return False
