# SPDX-License-Identifier: Apache-2.0
"""Counts checks by the summary lines that Check prints."""

import re
from dataclasses import dataclass

SUMMARY = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.MULTILINE)
STATUS_SKIPPED = 77


@dataclass
class Count:
    """How many checks passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Count(self.passed + other.passed, self.failed + other.failed,
                     self.skipped + other.skipped)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def of_program(output, status):
    """What one test program's output and exit status (None: killed at its time limit) say. A
    program without a summary is one check; one that ended badly has at least one failure."""
    summaries = [tuple(map(int, found)) for found in SUMMARY.findall(output)]
    count = Count()
    for checks, failures, errors in summaries:
        count += Count(checks - failures - errors, failures + errors)
    if status == STATUS_SKIPPED:
        count.skipped += 1
    elif status != 0:
        count.failed = max(count.failed, 1)
    elif not summaries:
        count.passed = 1
    return count
