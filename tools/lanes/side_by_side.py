# SPDX-License-Identifier: Apache-2.0
"""Runs several lanes at once, each in a process of its own. What one prints is kept in a file and
shown as a whole when the lane is done; until then a line now and then tells how far each is."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from lanes.outcome import Count

TOLD_EVERY = 60.0
LOOKED_EVERY = 0.2
END_LIMIT = 30.0
PROGRESS = re.compile(r"^ *(\d+/\d+) ", re.MULTILINE)
TALLIED = re.compile(r"^lane .*: (\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)


class Running:
    """One lane's process."""

    def __init__(self, lane, command, output, tally):
        self.lane = lane
        self._output = output
        self._tally = tally
        self._started = time.monotonic()
        # A session of its own: Ctrl-C is for this process, which then tells the lanes. If this
        # process is killed, they end too.
        with open(output, "wb") as out:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "--", *command, "--tally", tally, lane],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    def ended(self):
        return self._process.poll() is not None

    def progress(self):
        done = PROGRESS.findall(self._text())
        return f"{self.lane} {done[-1] if done else 'starting'}"

    def result(self):
        """Shows what it printed, and adds what no count tells: that it ended badly."""
        sys.stdout.write(self._text())
        print(f"(lane {self.lane}: {time.monotonic() - self._started:.0f} s)", flush=True)
        status = self._process.returncode
        counted = TALLIED.findall(_read(self._tally))
        count = Count(*map(int, counted[-1])) if counted else Count()
        if not counted or (status != 0) != (count.failed != 0):
            print(f"{self.lane}: its process ended with status {status}", file=sys.stderr)
            count.failed += 1
        return count

    def ask_to_end(self):
        if not self.ended():
            self._process.send_signal(signal.SIGTERM)

    def make_end(self):
        try:
            self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _text(self):
        return _read(self._output)


def run(lanes, jobs, logs, command):
    """Runs `command --tally FILE LANE` for each lane, `jobs` of them at a time, first come, first
    served; lane -> count."""
    waiting = list(lanes)
    running = []
    counts = {}
    os.makedirs(logs, exist_ok=True)
    with tempfile.TemporaryDirectory() as tallies:
        try:
            told = time.monotonic()
            while waiting or running:
                while waiting and len(running) < jobs:
                    lane = waiting.pop(0)
                    print(f"== lane {lane} starts", flush=True)
                    running.append(Running(lane, command, os.path.join(logs, f"{lane}.output"),
                                           os.path.join(tallies, lane)))
                time.sleep(LOOKED_EVERY)
                for lane in [lane for lane in running if lane.ended()]:
                    running.remove(lane)
                    counts[lane.lane] = lane.result()
                    told = time.monotonic()
                if time.monotonic() - told > TOLD_EVERY:
                    told = time.monotonic()
                    print("...", ", ".join(lane.progress() for lane in running), flush=True)
        finally:
            for lane in running:
                lane.ask_to_end()
            for lane in running:
                lane.make_end()
    return {lane: counts[lane] for lane in lanes}


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
