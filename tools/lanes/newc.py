# SPDX-License-Identifier: Apache-2.0
"""Writes the "newc" cpio archives that Linux unpacks as an initramfs."""

import os
import stat


class Archive:
    """Appends entries to a binary file. Parent directories are added as they are needed."""

    def __init__(self, out):
        self._out = out
        self._inode = 0
        self._directories = {""}

    def directory(self, path, mode=0o755):
        path = path.strip("/")
        if path in self._directories:
            return
        self._parents(path)
        self._directories.add(path)
        self._entry(path, stat.S_IFDIR | mode)

    def file(self, path, data, mode=0o644):
        self._parents(path)
        self._entry(path, stat.S_IFREG | mode, data)

    def symlink(self, path, target):
        self._parents(path)
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path, major, minor, mode=0o600):
        self._parents(path)
        self._entry(path, stat.S_IFCHR | mode, device=(major, minor))

    def copy(self, path, source):
        """Adds the file that `source` names (a symbolic link is followed), with its permissions."""
        with open(source, "rb") as file:
            self.file(path, file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode))

    def close(self):
        self._inode = 0
        self._entry("TRAILER!!!", 0)

    def _parents(self, path):
        parent = os.path.dirname(path.strip("/"))
        if parent:
            self.directory(parent)

    def _entry(self, path, mode, data=b"", device=(0, 0)):
        name = path.strip("/")
        self._inode += 1
        encoded = os.fsencode(name) + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        header = "070701" + "".join(f"{field:08x}" for field in fields)
        self._padded(header.encode() + encoded)
        self._padded(data)

    def _padded(self, data):
        self._out.write(data)
        self._out.write(b"\0" * (-len(data) % 4))
