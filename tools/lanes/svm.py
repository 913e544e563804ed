# SPDX-License-Identifier: Apache-2.0
"""The svm lane: Debian's kernel with kvm_amd on the processor that QEMU's TCG emulates."""

import os
import shutil

from lanes import cache, payload
from lanes.errors import LaneError, UsageError
from lanes.machine import Machine

BOOT_LIMIT = 180.0
USUAL_MEMORY = 2048
MODULES = ("irqbypass", "ccp", "kvm", "kvm-amd")
EMULATOR = "qemu-system-x86_64"
MIB = 1 << 20
KERNEL_NEEDS = 160 * MIB
# QEMU may lose an interrupt: VMRUN notes that a virtual one waits without the lock that its timers hold
# when they note theirs. If it was that of the kernel's timer, which is set anew only when it has come,
# the machine stands still until any other interrupt comes: that of a key.
NUDGE = b"sendkey shift\n"


def run(job, setting):
    """Runs the job; its report."""
    if not shutil.which(EMULATOR):
        raise LaneError(f"no {EMULATOR} here: install qemu-system-x86")
    kernel = cache.kernel()
    with cache.run_directory() as directory:
        initramfs = os.path.join(directory, "initramfs")
        with open(initramfs, "wb") as out:
            payload.write_base(out, kernel, MODULES)
            payload.write_job(out, job, "kvm-amd")
        memory = setting.memory or USUAL_MEMORY
        # The archive and what is unpacked from it are in memory at the same time.
        needed = KERNEL_NEEDS + 2 * os.path.getsize(initramfs)
        if memory * MIB < needed:
            raise UsageError(f"{memory} MiB of memory do not do:"
                             f" {needed // MIB} or more are needed")
        machine = Machine(directory, job, setting, BOOT_LIMIT)
        try:
            machine.start(_command_line(machine, kernel, initramfs, memory, setting.cpus or 1),
                          nudge=NUDGE)
            machine.serve(until=lambda report: report.done)
        finally:
            machine.stop()
        return machine.report


def _command_line(machine, kernel, initramfs, memory, cpus):
    ports = []
    for name in ("output", "report", "console"):
        # "append" keeps QEMU from truncating, which a pipe has no notion of.
        ports += ["-chardev", f"file,id={name},path={machine.port(name)},append=on",
                  "-serial", f"chardev:{name}"]
    return [EMULATOR, "-accel", "tcg", "-cpu", "max,+svm", "-m", str(memory),
            "-smp", str(cpus), "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-monitor", "stdio", *ports, "-kernel", kernel.image, "-initrd", initramfs,
            "-append", "console=ttyS2,115200 quiet panic=-1"]
