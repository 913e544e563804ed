# SPDX-License-Identifier: Apache-2.0
"""The vmx lane: Debian's kernel with kvm_intel on the processor that Bochs emulates.

Bochs needs more than a minute to boot it, so this is done once: the machine is saved while it waits
for a job, and every run restores it. The job is put into the saved memory, in an area that the
kernel does not use."""

import glob
import hashlib
import os
import shutil
import subprocess
import time

from lanes import bochs_state, cache, payload
from lanes.errors import LaneError, UsageError
from lanes.machine import Machine, Setting

MIB = 1 << 20
MEMORY = 512 * MIB
JOB_AREA = 400 * MIB
JOB_AREA_SIZE = 96 * MIB
PAGE = 4096
MODULES = ("irqbypass", "kvm", "kvm-intel")

BOOT_LIMIT = 400.0
SAVE_LIMIT = 60.0
RESTORE_LIMIT = 90.0
SNAPSHOT_KEPT = 14 * 24 * 3600  # seconds without use

TOOLS = {"bochs": "bochs", "grub-mkrescue": "grub-common", "xorriso": "xorriso", "gcc": "gcc"}
FILES = {
    "/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so": "bochs-term",
    "/usr/share/bochs/BIOS-bochs-latest": "bochsbios",
    "/usr/share/vgabios/vgabios.bin": "vgabios",
    "/usr/lib/grub/i386-pc": "grub-pc-bin",
}

# No randomised addresses, no self-tests, no mitigations: each costs seconds here.
COMMAND_LINE = (
    f"console=ttyS2,115200 quiet panic=-1 memmap={JOB_AREA_SIZE // MIB}M\\$"
    f"{JOB_AREA // MIB}M job_page={JOB_AREA // PAGE} nokaslr mitigations=off nosmp audit=0"
    " tsc=reliable no_timer_check random.trust_cpu=on cryptomgr.notests")

GRUB_CONFIGURATION = f"""set timeout=0
menuentry lane {{
    linux /vmlinuz {COMMAND_LINE}
    initrd /initramfs
}}
"""

RUN = "{run}"  # stands for the run directory in configurations
BOCHS_CONFIGURATION = """display_library: term
cpu: model=corei7_haswell_4770, count=1, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=512, host=512
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/vgabios/vgabios.bin
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="{run}/disc", status=inserted
boot: cdrom
clock: sync=none, time0=utc
com1: enabled=1, mode=file, dev="{run}/output"
com2: enabled=1, mode=file, dev="{run}/report"
com3: enabled=1, mode=file, dev="{run}/console"
log: {run}/errors
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
mouse: enabled=0
sound: driver=dummy
"""


def run(job, setting):
    """Runs the job; its report."""
    if setting.memory or (setting.cpus or 1) != 1:
        raise UsageError("the vmx lane has one processor and 512 MiB of memory")
    snapshot = _snapshot()
    with cache.run_directory() as directory:
        _restore_into(directory, snapshot, _job_image(directory, job))
        machine = Machine(directory, job, setting, RESTORE_LIMIT)
        try:
            _start(machine, ["-r", "state"], directory, {})
            machine.serve(until=lambda report: report.done)
        finally:
            machine.stop()
        return machine.report


def _job_image(directory, job):
    """The job as it stands in the job area: a page that announces it, and its archive."""
    path = os.path.join(directory, "job")
    with open(path, "wb") as out:
        out.seek(PAGE)
        payload.write_job(out, job, "kvm-intel")
        size = out.tell()
        if size > JOB_AREA_SIZE:
            raise LaneError(f"the files take {size // MIB} MiB; the vmx lane has room for"
                            f" {JOB_AREA_SIZE // MIB}")
        out.truncate(-(-size // PAGE) * PAGE)
        out.seek(0)
        out.write(f"job {-(-size // PAGE) - 1}\n".encode())
    return path


def _restore_into(directory, snapshot, job_image):
    """Makes a state to restore from, out of the snapshot's files and one job."""
    state = os.path.join(directory, "state")
    os.mkdir(state)
    for name in os.listdir(snapshot):
        os.symlink(os.path.join(snapshot, name), os.path.join(state, name))
    os.rename(os.path.join(state, "disc"), os.path.join(directory, "disc"))

    with open(os.path.join(snapshot, "config"), encoding="utf-8") as file:
        configuration = file.read()
    os.remove(os.path.join(state, "config"))
    with open(os.path.join(state, "config"), "w", encoding="utf-8") as file:
        file.write(configuration.replace(RUN, directory))

    bochs_state.put(state, JOB_AREA, job_image)


def _start(machine, arguments, directory, environment):
    # A Bochs with a debugger waits for its commands before it starts the machine.
    with open(os.path.join(directory, "debugger"), "w", encoding="ascii") as file:
        file.write("c\n")
    machine.start(["bochs", *arguments, "-rc", "debugger"], terminal=True,
                  environment={"TERM": "xterm", **environment})


def _snapshot():
    """The directory of a machine that waits for a job; the first call makes it."""
    _check_tools()
    kernel = cache.kernel()
    path = os.path.join(cache.directory(), f"vmx-{_fingerprint(kernel)}")
    with cache.locked("vmx"):
        if not os.path.isdir(path):
            _remove_unused()
            cache.say("booting the vmx lane's machine (about 80 s, once)")
            with cache.run_directory() as directory:
                _boot_and_save(directory, kernel)
                os.rename(os.path.join(directory, "saved"), path)
        os.utime(path)
    return path


def _remove_unused():
    for path in glob.glob(os.path.join(cache.directory(), "vmx-*")):
        if os.stat(path).st_mtime < time.time() - SNAPSHOT_KEPT:
            shutil.rmtree(path, ignore_errors=True)


def _check_tools():
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    missing += [package for path, package in FILES.items() if not os.path.exists(path)]
    if missing:
        raise LaneError(f"the vmx lane needs the packages {' '.join(missing)}")


def _fingerprint(kernel):
    """Names the snapshot by all that it was made of."""
    digest = hashlib.sha256((GRUB_CONFIGURATION + BOCHS_CONFIGURATION).encode())
    version = subprocess.run(["dpkg-query", "-W", "bochs", "bochsbios", "busybox-static"],
                             capture_output=True, check=False).stdout
    digest.update(version)
    for path in (kernel.image, *(os.path.join(payload.INSIDE, name) for name in payload.BASE)):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _boot_and_save(directory, kernel):
    _make_disc(directory, kernel)
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bochs-save.c")
    cache.command(["gcc", "-O2", "-shared", "-fPIC", "-o", "save.so", source], directory)
    with open(os.path.join(directory, "bochsrc"), "w", encoding="utf-8") as file:
        file.write(BOCHS_CONFIGURATION.replace(RUN, directory))

    machine = Machine(directory, None, Setting(), BOOT_LIMIT)
    saved = os.path.join(directory, "saved")
    try:
        _start(machine, ["-f", "bochsrc"], directory,
               {"LD_PRELOAD": "./save.so", "MEZZ_SAVE_TO": saved})
        machine.serve(until=lambda report: report.ready)
        os.mkdir(saved)
        if machine.wait(SAVE_LIMIT) != 0:
            raise LaneError("Bochs did not save its state")
    finally:
        machine.stop()

    with open(os.path.join(saved, "config"), "r+", encoding="utf-8") as file:
        configuration = file.read().replace(directory, RUN)
        file.seek(0)
        file.truncate()
        file.write(configuration)
    os.rename(os.path.join(directory, "disc"), os.path.join(saved, "disc"))


def _make_disc(directory, kernel):
    tree = os.path.join(directory, "tree")
    os.makedirs(os.path.join(tree, "boot/grub"))
    shutil.copy(kernel.image, os.path.join(tree, "vmlinuz"))
    with open(os.path.join(tree, "initramfs"), "wb") as out:
        payload.write_base(out, kernel, MODULES)
    with open(os.path.join(tree, "boot/grub/grub.cfg"), "w", encoding="ascii") as file:
        file.write(GRUB_CONFIGURATION)
    cache.command(["grub-mkrescue", "-o", "disc", "tree"], directory)
