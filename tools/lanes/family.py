# SPDX-License-Identifier: Apache-2.0
"""A program and all that descends from it: tests start processes in groups and sessions of their own,
and whoever interrupts the tests wants none of these to go on."""

import ctypes
import os
import signal
import subprocess

PR_SET_CHILD_SUBREAPER = 36


def run(argv, environment, end_limit):
    """Its exit status. When this is interrupted, the program has `end_limit` seconds to end what it
    started. Either way nothing of it is left afterwards."""
    # What loses its parent becomes a child of this process, which therefore has to be told and waited for.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Not in reach of Ctrl-C, which is for this process alone; told to end if this process is killed.
    leader = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", *argv],
                              stdin=subprocess.DEVNULL, start_new_session=True, env=environment)
    try:
        return _wait(leader.pid)
    except BaseException:
        leader.terminate()
        signal.signal(signal.SIGALRM, lambda *_: leader.kill())
        signal.alarm(end_limit)
        _wait(leader.pid)
        signal.alarm(0)
        raise
    finally:
        _end_children()


def _wait(wanted):
    """Waits for one child and takes leave of others meanwhile: a test may look whether they are gone."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == wanted:
            return os.waitstatus_to_exitcode(status)


def _end_children():
    # The children of a child that was ended come here.
    while children := _children():
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


def _children():
    found = []
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", "rb") as stat:
                parent = int(stat.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            found.append(int(entry))
    return found
