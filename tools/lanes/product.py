# SPDX-License-Identifier: Apache-2.0
"""What of a build goes into a lane."""

import json
import os
import subprocess
from dataclasses import dataclass

from lanes.errors import UsageError

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MEZZ = "src/vmm/mezz"


@dataclass
class Test:
    """One test program as meson knows it."""

    name: str
    suites: set
    command: list
    environment: dict
    timeout: int


class Build:
    """A configured and built build directory."""

    def __init__(self, path):
        self.path = os.path.abspath(path)

    def stage(self, job):
        """Adds mezz, the guests' images, the stacks and the examples to the job; the variables by
        which they are found inside."""
        mezz = os.path.join(self.path, MEZZ)
        if not os.path.exists(mezz):
            raise UsageError(f"{mezz} is not built")
        job.files["mezz"] = mezz
        job.add_tree(os.path.join(self.path, "images"), "images")
        job.add_tree(os.path.join(SOURCE, "stacks"), "stacks")
        job.add_tree(os.path.join(SOURCE, "examples"), "examples")
        return {"MEZZ_BIN": "/w/mezz", "MEZZ_IMAGES": "/w/images", "MEZZ_STACKS": "/w/stacks",
                "MEZZ_EXAMPLES": "/w/examples"}

    def logs(self):
        return os.path.join(self.path, "lane-logs")

    def tests(self):
        listing = subprocess.run(["meson", "introspect", "--tests", self.path], capture_output=True,
                                 stdin=subprocess.DEVNULL, text=True, check=False)
        if listing.returncode != 0:
            raise UsageError(f"{self.path} is not a configured build directory")
        return [Test(test["name"], {suite.rpartition(":")[2] for suite in test["suite"]},
                     test["cmd"], test["env"], test["timeout"])
                for test in json.loads(listing.stdout)]
