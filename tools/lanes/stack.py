# SPDX-License-Identifier: Apache-2.0
"""Takes a stack file into a lane: it is to find there what it finds here.

Inside, its directory, the directories of images and the working directory lie below HOST as they lie
here, so that relative names lead where they lead here."""

import os
import re
import sys

from lanes.errors import UsageError

HOST = "host"  # below the job's working directory
OUTPUTS = ("--json", "--trace", "--log")
WITH_VALUES = (*OUTPUTS, "--images", "--kvm")
# A directory of images is taken along as a whole if it is no larger.
FILES_MOST = 500
BYTES_MOST = 32 << 20
# What is in a lane already, or is mounted over.
LANES_OWN = {"bin", "dev", "etc", "init", "lane", "lib", "lib64", "proc", "run", "sys", "tmp", "usr",
             "w"}
# Strings of Lua.
LITERAL = re.compile(r"""'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|\[\[(.*?)\]\]""", re.DOTALL)


class Stack:
    """A stack file with the options of `mezz run`, and what of them is in the job."""

    def __init__(self, job, path, options):
        if not os.path.isfile(path):
            raise UsageError(f"no such stack: {path}")
        self._job = job
        self._path = path
        self._outputs = []  # (option, path)
        self._images = os.environ.get("MEZZ_IMAGES", "")
        self._options = [word for name, value in _pairs(options) for word in self._inside(name, value)]
        _check_outputs(path, self._outputs)
        self._take_images()

    def command(self, variables):
        """What runs it inside; variables: what is known of the lane."""
        if self._images:
            variables = {**variables, "MEZZ_IMAGES": _each(self._images, _seen)}
        return ["env", *(f"{name}={value}" for name, value in variables.items()),
                "sh", "-c", 'mkdir -p "$0" && cd "$0" && exec "$@"', f"/w/{HOST}{os.getcwd()}",
                "/w/mezz", "run", _seen(self._path), *self._options]

    def _inside(self, name, value):
        """An option's words as they are to be inside."""
        if value is None:
            return [name]
        if name in OUTPUTS and not (name == "--log" and value == "-"):
            inside = f"/tmp/output{name}"
            self._outputs.append((name, value))
            self._job.gets.append((inside, value))
            return [name, inside]
        if name == "--images":
            self._images = value
            return [name, _each(value, _seen)]
        return [name, value]

    def _take_images(self):
        with open(self._path, encoding="utf-8", errors="surrogateescape") as file:
            names = _names(file.read())
        self._take(self._path)
        own = os.path.dirname(self._path) or "."
        for directory in [own, *filter(None, self._images.split(":"))]:
            files = _all_files(directory)
            if files is None:
                files = [os.path.join(directory, name) for name in names if not os.path.isabs(name)]
                print(f"lane: {directory} is too large to be taken along: only files of it that "
                      f"{self._path} names word for word are", file=sys.stderr)
            else:
                # What leads out of it.
                files += [os.path.join(directory, name) for name in names if ".." in name]
            for path in files:
                self._take(path)
        for name in filter(os.path.isabs, names):
            self._take_absolute(name)

    def _take(self, path):
        if _can_be_read(path):
            self._job.data[f"{HOST}{os.path.abspath(path)}"] = path

    def _take_absolute(self, name):
        if not _can_be_read(name):
            return
        if os.path.normpath(name).split("/")[1] in LANES_OWN:
            print(f"lane: {name} cannot be taken along: that place is the lane's own; a relative name "
                  "would do", file=sys.stderr)
        else:
            self._job.data[os.path.normpath(name)] = name


def _pairs(options):
    """(option, value or None), as mezz reads them."""
    words = iter(options)
    for word in words:
        name, equals, value = word.partition("=")
        if name not in WITH_VALUES:
            yield word, None
        elif equals:
            yield name, value
        else:
            value = next(words, None)
            if value is None or (value.startswith("-") and value != "-"):
                raise UsageError(f"run: {name} needs a value")
            yield name, value


def _seen(path):
    """How a file is called inside, from the working directory."""
    return os.path.relpath(path) if os.path.isabs(path) else path


def _each(images, function):
    return ":".join(function(directory) for directory in images.split(":") if directory)


def _names(text):
    """The texts in a Lua source, and the first word of each: a program's name before its arguments."""
    names = set()
    for found in LITERAL.finditer(text):
        literal = found[1] or found[2] or found[3] or ""
        names.update({literal, literal.partition(" ")[0]})
    return sorted(name for name in names if name and "\0" not in name and len(name) < 4096)


def _can_be_read(path):
    return os.path.isfile(path) and os.access(path, os.R_OK)


def _all_files(directory):
    """The files of a directory and of those in it; None: they are too many."""
    files, size = [], 0
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if not _can_be_read(path):
                continue
            files.append(path)
            size += os.path.getsize(path)
            if len(files) > FILES_MOST or size > BYTES_MOST:
                return None
    return files


def _check_outputs(stack, outputs):
    """What mezz would refuse before it runs anything, it refuses here: a machine is not started for
    it."""
    if {("--json", "-"), ("--trace", "-")} <= set(outputs):
        raise UsageError("--json and --trace cannot both be the standard output")
    taken = [("the stack file", stack)]
    for option, path in outputs:
        if path == "-":
            continue
        for other, another in taken:
            if os.path.realpath(path) == os.path.realpath(another):
                raise UsageError(f"{option}: {path}: is {other}, too")
        taken.append((option, path))
        why = _why_not_written(path)
        if why:
            raise UsageError(f"{option}: {path}: cannot write: {why}")
        if option == "--log" and os.path.isfile(path) and os.path.getsize(path) > 0:
            raise UsageError(f"{option}: {path}: is there already, and is not empty")


def _why_not_written(path):
    directory = os.path.dirname(path) or "."
    if not os.path.exists(directory):
        return "No such file or directory"
    if not os.path.isdir(directory):
        return "Not a directory"
    if os.path.isdir(path) or not path:
        return "Is a directory"
    target = path if os.path.exists(path) else directory
    return None if os.access(target, os.W_OK) else "Permission denied"
