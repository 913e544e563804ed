# SPDX-License-Identifier: Apache-2.0
"""Runs one emulator from start to end and carries what comes out of it.

Three serial ports arrive as pipes: "output" is the command's, byte for byte; "report" is lines from
inside/job; "console" is the kernel's and is kept only for diagnosis. The lines of a report:

    begin           the command starts now
    exit N          it ended with status N, and all of its output has been sent
    left COMMAND    a process that it left behind was ended
    file N          the N-th wanted file follows, as base64 of gzip, up to a line "."
    fail TEXT       the lane cannot run the command
    done            nothing follows
"""

import base64
import gzip
import os
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass

from lanes.errors import LaneError, TimeRanOut

PORTS = ("output", "report", "console")
CHUNK = 65536
CONSOLE_KEPT = 65536


@dataclass
class Setting:
    """What a machine is made of, and where the command's output goes."""

    memory: int = 1024
    cpus: int = 1
    console: str = None  # a file that keeps the console
    sink: object = None


class Report:
    """The state of a job as its report tells it."""

    def __init__(self, job):
        self.job = job
        self.begun = self.done = False
        self.status = None
        self._partial = b""
        self._file = None
        self._received = set()
        self._encoded = []

    def feed(self, data):
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            if self._file is not None:
                self._file_line(line)
            else:
                self._line(*line.decode(errors="replace").partition(" ")[::2])

    def missing_files(self):
        return [inside for number, (inside, _) in enumerate(self.job.gets)
                if number not in self._received]

    def _line(self, word, rest):
        if word == "begin":
            self.begun = True
        elif word == "exit":
            self.status = int(rest)
        elif word == "left":
            print(f"lane: the command left a process behind: {rest.strip()}", file=sys.stderr)
        elif word == "file":
            self._file = int(rest)
        elif word == "fail":
            raise LaneError(rest)
        elif word == "done":
            self.done = True

    def _file_line(self, line):
        if line != b".":
            self._encoded.append(line)
            return
        inside, outside = self.job.gets[self._file]
        try:
            content = gzip.decompress(base64.b64decode(b"".join(self._encoded), validate=True))
        except (ValueError, EOFError, OSError) as error:
            raise LaneError(f"{inside} was damaged on its way out: {error}") from error
        try:
            with open(outside, "wb") as file:
                file.write(content)
        except OSError as error:
            raise LaneError(f"cannot write {outside}: {error.strerror}") from error
        self._received.add(self._file)
        self._file = None
        self._encoded = []


class Machine:
    """One emulator process in one run directory."""

    def __init__(self, run, job, setting, boot_limit):
        self.run = run
        self.report = Report(job)
        self._deadline = time.monotonic() + boot_limit
        self._boot_limit = boot_limit
        self._job = job
        self._errors = os.path.join(run, "errors")
        self._console = b""
        self._sink = setting.sink
        self._console_file = open(setting.console, "wb") if setting.console else None
        self._process = None
        self._ports = {}

    def port(self, name):
        """The path that the emulator is to write to."""
        return os.path.join(self.run, name)

    def start(self, argv, **options):
        for name in PORTS:
            os.mkfifo(self.port(name))
            # Held open for writing too, so that it never reads as closed.
            self._ports[os.open(self.port(name), os.O_RDWR | os.O_NONBLOCK)] = name
        with open(self._errors, "wb") as errors:
            options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": errors,
                       **options}
            # A session of its own: Ctrl-C is for this tool, which then ends the emulator.
            self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *argv],
                                             start_new_session=True, **options)

    def finish(self):
        """Serves the machine until the job is done."""
        with selectors.DefaultSelector() as selector:
            for port in self._ports:
                selector.register(port, selectors.EVENT_READ)
            ended = os.pidfd_open(self._process.pid)
            selector.register(ended, selectors.EVENT_READ)
            try:
                while not self.report.done:
                    self._serve(selector, ended)
            finally:
                os.close(ended)

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for port in self._ports:
            os.close(port)
        self._ports.clear()
        if self._console_file:
            self._console_file.close()

    def _serve(self, selector, ended):
        was_begun = self.report.begun
        left = self._deadline - time.monotonic()
        ready = [key.fd for key, _ in selector.select(max(left, 0))] if left > 0 else []
        if not ready:
            self._late()
        for port in sorted(set(ready) & self._ports.keys(), key=lambda p: self._ports[p]):
            self._receive(port)
        if ended in ready and not set(ready) & self._ports.keys():
            self._died()
        if self.report.begun and not was_begun:
            self._deadline = time.monotonic() + self._job.timeout

    def _receive(self, port):
        try:
            data = os.read(port, CHUNK)
        except BlockingIOError:
            return
        if self._ports[port] == "output":
            self._sink(data)
        elif self._ports[port] == "report":
            self.report.feed(data)
        else:
            self._console = (self._console + data)[-CONSOLE_KEPT:]
            if self._console_file:
                self._console_file.write(data)
                self._console_file.flush()

    def _late(self):
        if self.report.begun:
            raise TimeRanOut(f"time ran out after {self._job.timeout:g} s")
        raise LaneError(f"the machine did not come up in {self._boot_limit:g} s{self._last_words()}")

    def _died(self):
        with open(self._errors, encoding="utf-8", errors="replace") as file:
            errors = file.read().strip().splitlines()
        raise LaneError("the emulator ended early" +
                        (f": {errors[-1]}" if errors else self._last_words()))

    def _last_words(self):
        lines = [line.strip() for line in self._console.decode(errors="replace").splitlines()]
        telling = [line for line in lines if "Kernel panic" in line] or list(filter(None, lines))
        return f"; its console says: {telling[-1]}" if telling else ""


def to_stdout(data):
    while data:
        data = data[os.write(sys.stdout.fileno(), data):]
