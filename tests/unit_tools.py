#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tools where no machine has to boot: what they refuse before one does, and what a stack file takes
into a lane. usage: unit_tools.py SOURCE BUILD"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = map(os.path.abspath, sys.argv[1:3])
sys.path.insert(0, os.path.join(SOURCE, "tools"))

# pylint: disable=wrong-import-position
from lanes import stack as lanes_stack
from lanes.errors import LaneError, TimeRanOut, UsageError
from lanes.machine import Machine, Setting
from lanes.payload import Job
from lanes.stack import HOST, Stack


class InDirectory(unittest.TestCase):
    """A directory of its own for each test."""

    def setUp(self):
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        # Not in the build: there is room above it for a name that leads out of it.
        kept = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(kept.cleanup)
        self.directory = os.path.join(os.path.realpath(kept.name), "here")
        os.mkdir(self.directory)
        os.chdir(self.directory)
        os.environ.pop("MEZZ_IMAGES", None)

    def write(self, path, text="x"):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


class Refused(InDirectory):
    """One line, status 2, and soon."""

    def refuse(self, words, line):
        result = subprocess.run([os.path.join(SOURCE, words[0]), *words[1:]], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=60, check=False,
                                env={**os.environ, "MEZZ_KVM": "/nonexistent"})
        self.assertEqual((result.returncode, result.stdout, result.stderr), (2, "", line + "\n"))

    def test_tests_that_are_none(self):
        for lane in ("host", "svm"):
            self.refuse(["tools/run-tests", "--build", BUILD, "--only", "unit_boot", "--only", "unit_bot",
                         lane], "run-tests: no such test program: unit_bot; did you mean unit_boot?")
        self.refuse(["tools/run-tests", "--build", BUILD, "--only", "?", "svm"],
                    "run-tests: no such test program: ?; meson test -C build --list has them all")

    def test_values_that_are_missing(self):
        for option in ("--kvm", "--images", "--json", "--trace", "--log"):
            for more in ([], ["-v"]):
                self.refuse(["bootstrap", "run", option, *more],
                            f"bootstrap: run: {option} needs a value")
            self.refuse(["bootstrap", "run", option + "="],
                        f"bootstrap: run: {option} needs a value")
        lanes = "host, svm, svm-npt0, vmx, vmx-ept0"
        self.refuse(["bootstrap", "run", "--lane"], f"bootstrap: --lane needs a lane: {lanes}")
        self.refuse(["bootstrap", "test", "--lane"],
                    f"bootstrap: test: --lane needs a lane: {lanes}, all")
        self.refuse(["bootstrap", "test", "--only"], "bootstrap: test: --only needs a test program")

    def test_runs_that_are_none(self):
        for lane in ([], ["--lane", "svm"]):
            run = ["bootstrap", "run", *lane]
            for option in ("--bogus", "--timeout", "--", "-x"):
                self.refuse([*run, option], f"bootstrap: run: no such option: {option} "
                            f"({SOURCE}/build/src/vmm/mezz run --help lists them, once it is built)")
            self.refuse([*run, "-v", "a.lua", "--no-cage", "b.lua"],
                        "bootstrap: run: one stack file, not a.lua and b.lua")
            self.refuse([*run, "--log", "-", "a.lua"],
                        "bootstrap: run: --log: a log is a file of its own, to be verified later: -")
            self.refuse([*run, "--log", "l", "no.lua"], "bootstrap: no such stack file: no.lua")

    def test_lanes_are_listed(self):
        for words in (["run", "--lane", "help"], ["run", "--lane=help"], ["test", "--lane", "help"]):
            result = subprocess.run([os.path.join(SOURCE, "bootstrap"), *words], capture_output=True,
                                    text=True, timeout=60, check=True)
            names = [line.split()[0] for line in result.stdout.splitlines()]
            self.assertEqual(names[:5], ["host", "svm", "svm-npt0", "vmx", "vmx-ept0"])

    def test_outputs_of_a_lane(self):
        self.write("my.lua")
        self.write("full.log")
        os.mkdir("sub")
        run = ["tools/run-stack", "--build", BUILD, "--lane", "svm", "my.lua"]
        for options, line in (
                (["--json", "/nonexistent/x"],
                 "--json: /nonexistent/x: cannot write: No such file or directory"),
                (["--trace=sub"], "--trace: sub: cannot write: Is a directory"),
                (["--log", "my.lua/x"], "--log: my.lua/x: cannot write: Not a directory"),
                (["--json", "./my.lua"], "--json: ./my.lua: is the stack file, too"),
                (["--json", "a", "--trace", "sub/../a"], "--trace: sub/../a: is --json, too"),
                (["--log", "full.log"], "--log: full.log: is there already, and is not empty"),
                (["--json", "-", "--trace=-"],
                 "--json and --trace cannot both be the standard output"),
                (["-v", "--json"], "run: --json needs a value")):
            self.refuse([*run, *options], f"run-stack: {line}")


class TakenAlong(InDirectory):
    """What lies in a lane where it lies here."""

    def setUp(self):
        super().setUp()
        self.job = Job([])

    def stack(self, *options, path="my.lua"):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            made = Stack(self.job, path, list(options))
        return made, said.getvalue()

    def inside(self, path):
        return f"{HOST}{os.path.abspath(path)}"

    def test_beside(self):
        self.write("my.lua", "s:l1 { image = 'l1' .. '.elf' }")
        self.write("l1.elf")
        self.write("programs/a.elf")
        os.mkfifo("fifo")
        made, said = self.stack()
        self.assertEqual(said, "")
        self.assertEqual(set(self.job.data), {self.inside(path)
                                              for path in ("my.lua", "l1.elf", "programs/a.elf")})
        self.assertEqual(self.job.files, {})  # nobody looks for libraries
        command = made.command({"A": "1"})
        self.assertEqual(command[:2], ["env", "A=1"])
        self.assertEqual(command[-4:], [f"/w/{HOST}{self.directory}", "/w/mezz", "run", "my.lua"])

    def test_elsewhere(self):
        self.write("sub/my.lua", """s:l1 { image = "../../other/l1.elf" }
            l1:l2 { programs = { [[../a.elf with arguments]] } } -- don't "a""")
        self.write("../other/l1.elf")
        self.write("a.elf")
        self.write("b.elf")
        _, said = self.stack(path=os.path.join(self.directory, "sub/my.lua"))
        self.assertEqual(said, "")
        self.assertEqual(set(self.job.data), {self.inside(path) for path in (
            "sub/my.lua", "../other/l1.elf", "a.elf")})

    def test_directories_of_images(self):
        self.write("sub/my.lua")
        self.write("one/l1.elf")
        self.write("two/more/l2.elf")
        self.write("three/l3.elf")
        images = f"one:{self.directory}/two"
        made, _ = self.stack("--images", images, path="sub/my.lua")
        self.assertEqual(set(self.job.data), {self.inside(path) for path in (
            "sub/my.lua", "one/l1.elf", "two/more/l2.elf")})
        self.assertEqual(made.command({"MEZZ_IMAGES": "/w/images"})[-2:], ["--images", "one:two"])

    def test_directories_of_the_variable(self):
        self.write("sub/my.lua")
        self.write("three/l3.elf")
        os.environ["MEZZ_IMAGES"] = f"{self.directory}/three"
        made, _ = self.stack(path="sub/my.lua")
        self.assertIn(self.inside("three/l3.elf"), self.job.data)
        self.assertIn("MEZZ_IMAGES=three", made.command({"MEZZ_IMAGES": "/w/images"}))

    def test_large_directories(self):
        self.write("my.lua", "s:l1 { image = 'l1.elf' }")
        self.write("images/l1.elf")
        for number in range(lanes_stack.FILES_MOST + 1):
            self.write(f"images/{number}")
        _, said = self.stack("--images=images")
        self.assertEqual(set(self.job.data), {self.inside("my.lua"), self.inside("images/l1.elf")})
        self.assertEqual(said.splitlines()[-1],
                         "lane: images is too large to be taken along: only files of it that my.lua "
                         "names word for word are")

    def test_absolute_names(self):
        self.write("my.lua", f"s:l1 {{ image = '{self.directory}/l1.elf' }} x = '{SOURCE}/LICENSE'")
        self.write("l1.elf")
        _, said = self.stack()
        # /tmp is the lane's own; where the source is need not be.
        self.assertEqual(os.path.join(self.directory, "l1.elf") in self.job.data,
                         "cannot be taken along" not in said)
        self.assertEqual(f"{SOURCE}/LICENSE" in self.job.data,
                         SOURCE.split("/")[1] not in lanes_stack.LANES_OWN)

    def test_outputs_come_out(self):
        self.write("my.lua")
        made, _ = self.stack("--json", "a.json", "--trace=-", "--log", "a.log", "-v")
        self.assertEqual(self.job.gets, [("/tmp/output--json", "a.json"), ("/tmp/output--trace", "-"),
                                         ("/tmp/output--log", "a.log")])
        self.assertEqual(made.command({})[-7:], [
            "--json", "/tmp/output--json", "--trace", "/tmp/output--trace", "--log", "/tmp/output--log",
            "-v"])

    def test_no_stack(self):
        with self.assertRaisesRegex(UsageError, "no such stack: my.lua"):
            self.stack()


class Emulated(InDirectory):
    """A machine that a shell script plays."""

    BEGIN = "echo begin >report\n"
    END = "echo exit 0 >report; echo done >report; sleep 60\n"

    def play(self, script, timeout=30, **options):
        self.output = b""
        machine = Machine(self.directory, Job([], timeout=timeout), Setting(sink=self.hear), 30)
        try:
            machine.start(["sh", "-c", script], **options)
            machine.serve(until=lambda report: report.done)
        finally:
            machine.stop()

    def hear(self, data):
        self.output += data

    def test_nudged_when_quiet(self):
        self.play(self.BEGIN + "read -r a; read -r b; echo $a, $b >output\n" + self.END,
                  nudge=b"wake up\n")
        self.assertEqual(self.output, b"wake up, wake up\n")

    def test_its_time_runs_out(self):
        for nudge in (b"", b"wake up\n"):
            with self.assertRaisesRegex(TimeRanOut, "time ran out after 3 s"):
                self.play(self.BEGIN + "sleep 60\n", timeout=3, nudge=nudge)
            for port in ("output", "report", "console"):
                os.remove(port)

    def test_it_ends_early(self):
        with self.assertRaisesRegex(LaneError, "the emulator ended early: no such thing"):
            self.play("echo no such thing >&2; exit 1", nudge=b"wake up\n")


if __name__ == "__main__":
    outcome = unittest.main(argv=sys.argv[:1], exit=False).result
    # As Check has it, for who counts.
    failures, errors = len(outcome.failures), len(outcome.errors)
    share = 100 * (outcome.testsRun - failures - errors) // max(outcome.testsRun, 1)
    print(f"{share}%: Checks: {outcome.testsRun}, Failures: {failures}, Errors: {errors}")
    sys.exit(0 if outcome.wasSuccessful() else 1)
