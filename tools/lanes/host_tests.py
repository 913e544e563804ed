# SPDX-License-Identifier: Apache-2.0
"""Runs the test programs on this machine, by meson."""

import fcntl
import json
import os
import sys

from lanes import family, outcome
from lanes.lane_tests import BRIEF_SUITE
from lanes.outcome import Count

KVM_GET_API_VERSION = 0xAE00


def why_no_kvm():
    """One line that says why /dev/kvm is not usable here; None when it is."""
    try:
        with open("/dev/kvm", "rb+", buffering=0) as kvm:
            fcntl.ioctl(kvm, KVM_GET_API_VERSION)
    except FileNotFoundError:
        return "this machine has no /dev/kvm"
    except PermissionError:
        return "no permission to open /dev/kvm (are you in the group kvm?)"
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    return None


END_LIMIT = 20  # seconds that meson has to end its tests


def run(build, patience, only=()):
    """Runs every suite but the brief one, whose stacks longer programs run; without /dev/kvm only the
    unit suite: the other programs are skipped."""
    count = Count()
    suites = [] if only else ["--no-suite", BRIEF_SUITE]
    missing = why_no_kvm()
    if missing:
        print(f"host: {missing}: only the unit suite runs on this machine", flush=True)
        suites = ["--suite", "unit"]
        wanted = [test for test in build.tests() if test.name in only or
                  not only and BRIEF_SUITE not in test.suites]
        count.skipped = sum("unit" not in test.suites for test in wanted)
        if wanted and count.skipped == len(wanted):
            return count
    log = os.path.join(build.path, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    # Told to end, meson ends its tests; at Ctrl-C it would end one of them.
    status = family.run(["meson", "test", "-C", build.path, "--no-rebuild", "--print-errorlogs",
                         "--timeout-multiplier", str(patience), *suites, *only],
                        {**os.environ, "CK_TIMEOUT_MULTIPLIER": str(patience)}, END_LIMIT)
    results = _read(log)
    for result in results:
        status = None if result["result"] == "TIMEOUT" else result["returncode"]
        count += outcome.of_program(result.get("stdout") or "", status)
    if status != 0 and count.failed == 0:
        print(f"host: meson test ended with status {status}", file=sys.stderr)
        count.failed += 1
    return count


def _read(log):
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            return [json.loads(line) for line in file if line.strip()]
    except FileNotFoundError:
        return []
