# SPDX-License-Identifier: Apache-2.0
"""Runs one emulator from start to end and carries what comes out of it.

Three serial ports arrive as pipes: "output" is the command's, byte for byte; "report" is lines from
inside/job; "console" is the kernel's and is kept only for diagnosis. The lines of a report:

    ready           the machine is up and waits for a job (vmx only)
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
import pty
import re
import selectors
import subprocess
import sys
import time
import tty
from dataclasses import dataclass

from lanes.errors import LaneError, TimeRanOut

PORTS = ("output", "report", "console")
CHUNK = 65536
CONSOLE_KEPT = 65536
NUDGED_AFTER = 1.0  # seconds without a word from the machine
# What a Bochs with a debugger says of the terminal on which it shows its machine's screen.
SCREEN = re.compile(rb'connected to screen "(/dev/pts/[0-9]+)"')


@dataclass
class Setting:
    """What a machine is made of, and where the command's output goes."""

    memory: int = None  # MiB; None: what the lane usually has
    cpus: int = None
    console: str = None  # a file that keeps the console
    sink: object = None
    patience: int = 1  # how much longer than usual the machine may take to come up


class Report:
    """The state of a job as its report tells it."""

    def __init__(self, job):
        self.job = job
        self.ready = self.begun = self.done = False
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
        if word == "ready":
            self.ready = True
        elif word == "begin":
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
            if outside == "-":
                to_stdout(content)
            else:
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
        self.report = Report(job)
        self.errors = os.path.join(run, "errors")  # where the emulator says why it gave up
        self._run = run
        self._job = job
        self._setting = setting
        self._boot_limit = boot_limit * setting.patience
        self._deadline = time.monotonic() + self._boot_limit
        self._console = b""
        self._told = b""  # by the emulator on its terminal, until it named its screen
        self._screen = None
        self._nudge = b""
        self._console_file = open(setting.console, "wb") if setting.console else None
        self._process = None
        self._ports = {}
        self._selector = selectors.DefaultSelector()

    def port(self, name):
        """The path that the emulator is to write to."""
        return os.path.join(self._run, name)

    def start(self, argv, terminal=False, environment=None, nudge=b""):
        """nudge: what the emulator reads on its standard input whenever the machine says nothing."""
        for name in PORTS:
            os.mkfifo(self.port(name))
            # Held open for writing too, so that it never reads as closed.
            self._listen(os.open(self.port(name), os.O_RDWR | os.O_NONBLOCK), name)
        # A session of its own: Ctrl-C is for this tool, which then ends the emulator.
        argv = ["setpriv", "--pdeathsig", "KILL", "--", *argv]
        options = {"start_new_session": True, "cwd": self._run,
                   "env": {**os.environ, **(environment or {})}}
        if terminal:
            # No input: when its machine is idle, Bochs sleeps unless there is something to read.
            ours, theirs = pty.openpty()
            self._listen(ours, "terminal")
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=theirs,
                                             stderr=theirs, **options)
            os.close(theirs)
        else:
            with open(self.errors, "wb") as errors:
                self._process = subprocess.Popen(
                    argv, stdin=subprocess.PIPE if nudge else subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=errors, **options)
            if nudge:
                self._nudge = nudge
                os.set_blocking(self._process.stdin.fileno(), False)
        self._listen(os.pidfd_open(self._process.pid), "end")

    def serve(self, until):
        """Carries what comes out of the machine, until `until` is true of its report."""
        while not until(self.report):
            self._serve_once()
        for port, name in self._ports.items():
            if name in PORTS:
                self._receive(name, port)

    def wait(self, limit):
        """Waits until the emulator ends by itself; its exit status."""
        try:
            return self._process.wait(limit)
        except subprocess.TimeoutExpired as error:
            raise LaneError(f"the emulator did not end in {limit:g} s") from error

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._selector.close()
        for port in self._ports:
            os.close(port)
        self._ports.clear()
        if self._console_file:
            self._console_file.close()

    def _listen(self, port, name):
        self._ports[port] = name
        self._selector.register(port, selectors.EVENT_READ)

    def _serve_once(self):
        was_begun = self.report.begun
        ready = self._heard()
        if list(ready) == ["end"]:
            self._died()
        # The report first: it says when output begins to be the command's.
        for name in sorted(ready.keys() - {"end"}, key=lambda name: name != "report"):
            self._receive(name, ready[name])
        if self.report.begun and not was_begun:
            self._deadline = time.monotonic() + self._job.timeout

    def _heard(self):
        """The ports on which there is something, and at least one."""
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                self._late()
            nudges = self._nudge and self.report.begun
            keys = self._selector.select(min(left, NUDGED_AFTER) if nudges else left)
            if keys:
                return {self._ports[key.fd]: key.fd for key, _ in keys}
            if nudges:
                self._give_nudge()

    def _give_nudge(self):
        try:
            os.write(self._process.stdin.fileno(), self._nudge)
        except (BlockingIOError, BrokenPipeError):
            pass  # it has enough of them, or is ending

    def _receive(self, name, port):
        try:
            data = os.read(port, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # Of the ports only terminals end, Bochs's and its screen: with their process.
            self._selector.unregister(port)
            return
        if name == "output":
            # A restored Bochs sends the last byte of each port once more.
            if self.report.begun:
                self._setting.sink(data)
        elif name == "report":
            self.report.feed(data)
        elif name == "terminal":
            self._find_screen(data)
        elif name == "console":
            self._console = (self._console + data)[-CONSOLE_KEPT:]
            if self._console_file:
                self._console_file.write(data)
                self._console_file.flush()

    def _find_screen(self, data):
        """Nobody looks at the screen, but somebody has to read it: what the guest's text screen
        shows adds up, and when no more fits in, the emulator waits for ever."""
        if self._screen is not None:
            return
        self._told = (self._told + data)[-CHUNK:]
        found = SCREEN.search(self._told)
        if found:
            self._screen = os.open(found.group(1), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self._screen)
            self._listen(self._screen, "screen")

    def _late(self):
        if self.report.begun:
            raise TimeRanOut(f"time ran out after {self._job.timeout:g} s")
        raise LaneError(f"the machine did not come up in {self._boot_limit:g} s"
                        f"{self._last_words()}")

    def _died(self):
        try:
            with open(self.errors, encoding="utf-8", errors="replace") as file:
                errors = file.read().strip().splitlines()
        except FileNotFoundError:
            errors = []
        raise LaneError("the emulator ended early" +
                        (f": {errors[-1]}" if errors else self._last_words()))

    def _last_words(self):
        lines = [line.strip() for line in self._console.decode(errors="replace").splitlines()]
        telling = [line for line in lines if "Kernel panic" in line] or list(filter(None, lines))
        return f"; its console says: {telling[-1]}" if telling else ""


def to_stdout(data):
    while data:
        data = data[os.write(sys.stdout.fileno(), data):]


def to_stderr(data):
    while data:
        data = data[os.write(sys.stderr.fileno(), data):]
