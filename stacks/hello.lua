-- SPDX-License-Identifier: Apache-2.0
-- Three levels: mezz is the root hypervisor (L0). nested_l1.elf is a hypervisor that runs on it
-- (L1). tiny-os.elf is an operating system that runs on that (L2), and its programs run in ring 3.

local stack = mezz.stack { memory = "64M" }

local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = "exits=callback" }

local tiny = l1:l2 {
    name = "tiny",
    image = "tiny-os.elf",
    memory = "16M",
    programs = { "hello.elf", "fault.elf" },
}

local result = stack:run { timeout = "10s" }

mezz.expect(result.status == "done", "L1 ended the machine, and well")
mezz.expect(l1.console:find "root hypervisor found", "L1 saw that it runs on a root hypervisor")
mezz.expect(tiny.console:find "hello from ring 3", "a ring-3 program under two hypervisors")
mezz.expect(tiny.console:find "fault.elf: page fault (write) at 0x0",
    "a faulting program was the guest's own affair")
mezz.expect(tiny.console:find "tiny-os: all programs ended", "the guest went on after it")

-- L1 registered a callback for the UART of its guest: the root ran it on the exits themselves,
-- without going through L1's own loop.
mezz.expect(tiny.exits.io.callback > 0, "L1's callback handled port accesses")
