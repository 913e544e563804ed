# SPDX-License-Identifier: Apache-2.0
"""Runs the test programs of the suites kvm and e2e inside a lane, where there is no meson."""

import os
import secrets
import shlex
import sys
import time
from dataclasses import dataclass, field, replace

from lanes import outcome, payload, program
from lanes.errors import LaneError, TimeRanOut
from lanes.machine import Setting
from lanes.outcome import Count

SUITES = {"kvm", "e2e"}
SLOW = {"slow"}  # other emulators inside, and the benchmark
LONG = {"long"}  # more than two minutes of Bochs
# What sanitizers are told here, for how long the soak is to run, how many faults.
PASSED_ON = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "MEZZ_FAULTS_SHARE",
             "MEZZ_SOAK_SECONDS")
BRIEF_SUITE = "brief"  # stands in where long ones are left out


@dataclass
class Pace:
    """How much slower than real hardware a lane is, and what that leaves out."""

    factor: int  # of the tests' own time limits
    limit: float  # seconds, for all of them together
    left_out: set  # suites
    cpus: int


# One processor: TCG with two, both inside kvm_amd, was seen to stand still for minutes.
PACES = {
    "svm": Pace(6, 2400, set(), 1),
    "svm-npt0": Pace(10, 2400, set(), 1),
    "vmx": Pace(20, 2400, SLOW | LONG, 1),
    "vmx-ept0": Pace(20, 2400, SLOW | LONG, 1),
}


@dataclass
class Transcript:
    """Reads the lane's output as it arrives: which program prints, and how it ended."""

    lane: str
    tests: list
    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    count: Count = field(default_factory=Count)
    log: object = None
    ended: int = 0
    _partial: bytes = b""
    _lines: list = field(default_factory=list)
    _started: float = 0.0

    def feed(self, data):
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))

    def _line(self, line):
        word, _, rest = line.partition(" ")
        if word != self.mark:
            self._lines.append(line)
            print(line, file=self.log, flush=True)
            return
        event, *numbers = rest.split()
        if event == "begin":
            self._lines = []
            self._started = time.monotonic()
            print(f"--- {self.tests[int(numbers[0])].name}", file=self.log, flush=True)
        else:
            self._end(self.tests[int(numbers[0])], int(numbers[1]))

    def _end(self, test, status):
        self.ended += 1
        seconds = time.monotonic() - self._started
        output = "\n".join(self._lines)
        count = outcome.of_program(output, status)
        self.count += count
        word = "FAIL" if count.failed else "SKIP" if status == outcome.STATUS_SKIPPED else "OK"
        print(f"{self.ended}/{len(self.tests)} {self.lane}: {test.name}  {word}  {seconds:.1f} s"
              f"  ({count})", flush=True)
        if count.failed:
            print(f"exit status {status}; it printed:\n{output}", flush=True)

    def unfinished(self):
        return "\n".join(self._lines)


def run(build, lane, patience=1, only=()):
    pace = PACES[lane]
    pace = replace(pace, factor=pace.factor * patience, limit=pace.limit * patience)
    tests = [test for test in build.tests() if _belongs(test, pace, only)]
    too_slow = [test for test in tests
                if test.suites & pace.left_out and test.name not in only]
    tests = [test for test in tests if test not in too_slow]
    for test in too_slow:
        print(f"{lane}: {test.name}  SKIP  (too slow for this lane)", flush=True)
    if not tests:
        print(f"{lane}: the build has no test program for this lane", file=sys.stderr)
        return Count(failed=1, skipped=len(too_slow))

    logs = build.logs()
    os.makedirs(logs, exist_ok=True)
    with open(os.path.join(logs, f"{lane}.log"), "w", encoding="utf-8") as log:
        transcript = Transcript(lane, tests, log=log)
        transcript.count.skipped = len(too_slow)
        job = _job(build, lane, pace, transcript)
        setting = Setting(cpus=pace.cpus, console=os.path.join(logs, f"{lane}.console"),
                          sink=transcript.feed, patience=patience)
        try:
            report = program.run(lane, job, setting)
            trouble = f"its runner ended with status {report.status}" if report.status else ""
        except (LaneError, TimeRanOut) as error:
            trouble = str(error)
    if trouble or transcript.ended != len(tests):
        print(f"{lane}: {trouble or 'not every test program ran'}"
              f" (see {log.name}); it had printed:\n{transcript.unfinished()}", file=sys.stderr)
        transcript.count.failed += 1
    return transcript.count


def _belongs(test, pace, only):
    if only:
        return test.name in only
    return test.suites & SUITES and (BRIEF_SUITE not in test.suites or pace.left_out)


def _job(build, lane, pace, transcript):
    job = payload.Job(["./tests", transcript.mark], timeout=pace.limit)
    told = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    found_by = {**build.stage(job), **told, "MEZZ_LANE": lane,
                "CK_TIMEOUT_MULTIPLIER": str(pace.factor)}
    job.files["tests"] = os.path.join(payload.INSIDE, "tests")
    plan = []
    for number, test in enumerate(transcript.tests):
        command = [_inside(job, argument) for argument in test.command]
        environment = {**test.environment, **found_by}
        variables = [f"{name}={value}" for name, value in environment.items()]
        plan.append(shlex.join(["run_test", str(number), str(test.timeout * pace.factor),
                                "env", *variables, *command]))
    job.texts["plan"] = "\n".join(plan) + "\n"
    return job


def _inside(job, argument):
    """An argument that names a file takes the file along."""
    if not os.path.isfile(argument):
        return argument
    path = os.path.join("bin", os.path.basename(argument))
    if job.files.setdefault(path, argument) != argument:
        raise LaneError(f"two files of one name: {argument} and {job.files[path]}")
    return f"/w/{path}"
