# SPDX-License-Identifier: Apache-2.0
"""What the programs that use lanes have in common: signals, messages and exit statuses."""

import os
import signal
import sys

from lanes import svm, vmx
from lanes.errors import LaneError, TimeRanOut, UsageError

STATUS_USAGE = 2
STATUS_TIME_RAN_OUT = 124
STATUS_LANE_FAILED = 125

# name -> machine, options of its KVM module
LANES = {
    "svm": (svm, ""),
    "svm-npt0": (svm, "npt=0"),
    "vmx": (vmx, ""),
    "vmx-ept0": (vmx, "ept=0"),
}


def run(name, job, setting):
    """Runs the job in the lane of that name; its report."""
    machine, options = LANES[name]
    job.vendor_options = options
    return machine.run(job, setting)


def finish(report):
    """The exit status of a program that ran one job."""
    missing = report.missing_files()
    for path in missing:
        print(f"lane: the command left no file {path}", file=sys.stderr)
    return report.status if report.status or not missing else STATUS_LANE_FAILED


def main(program):
    """Runs program() and exits; whatever ends it, its emulator and its files are cleared away."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    try:
        status = program()
    except UsageError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        status = STATUS_USAGE
    except LaneError as error:
        print(f"lane: {error}", file=sys.stderr)
        status = STATUS_LANE_FAILED
    except TimeRanOut as error:
        print(f"lane: {error}", file=sys.stderr)
        status = STATUS_TIME_RAN_OUT
    except BrokenPipeError:
        # Nobody reads on; the interpreter must not stumble over it again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except OSError as error:
        print(f"lane: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        status = STATUS_LANE_FAILED
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    sys.exit(status)


def _end(number, _):
    # Once is enough: a second signal must not cut the clearing up short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.exit(128 + number)
