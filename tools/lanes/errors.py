# SPDX-License-Identifier: Apache-2.0
"""The two ways in which a lane ends without the command's own exit status."""


class LaneError(Exception):
    """The lane itself failed; the message is the one line that its user sees."""


class TimeRanOut(Exception):
    """The command was still running when its time was up."""
