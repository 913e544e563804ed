-- SPDX-License-Identifier: Apache-2.0
-- Three levels: this process is the root hypervisor (L0), nested_l1.elf is a hypervisor that runs
-- on it (L1), and tiny-os.elf is a guest of that hypervisor (L2). Its programs run in ring 3.

local stack = mezz.stack { memory = "64M" }

local l1 = stack:l1 {
    image = mezz.image "nested_l1.elf",
    memory = "48M",
    cmdline = "exits=callback",
}

local tiny = l1:l2 {
    name = "tiny",
    image = mezz.image "tiny-os.elf",
    memory = "16M",
    programs = { "hello.elf from the root", "fault.elf" },
}

local result = stack:run { timeout = "10s" }

mezz.expect(result.status == "done", "L1 ended the machine, and well")
mezz.expect(tiny.console:find "hello from ring 3", "a ring-3 program under two hypervisors")
