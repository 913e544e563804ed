# SPDX-License-Identifier: Apache-2.0
"""The ways in which a lane ends without the command's own exit status."""


class UsageError(Exception):
    """What the user asked for cannot be; the message is the one line that says why."""


class LaneError(Exception):
    """The lane itself failed; the message is the one line that its user sees."""


class TimeRanOut(Exception):
    """The command was still running when its time was up."""
