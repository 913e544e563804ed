-- SPDX-License-Identifier: Apache-2.0
-- One L1 that hosts two guests in turn: each runs for a slice of time, until the preemption timer
-- of its VMCS12 is over, and neither sees the other.

local stack = mezz.stack { memory = "96M" }
local l1 = stack:l1 { image = "nested_l1.elf", memory = "64M", cmdline = "slice=1000" }

local function guest(name, program)
    return l1:l2 {
        name = name,
        image = "tiny-os.elf",
        memory = "16M",
        programs = { program },
    }
end

local left = guest("left", "count.elf")
local right = guest("right", "hello.elf from the right")

local result = stack:run { timeout = "30s" }

mezz.expect(result.status == "done", "L1 ended the machine, and well")
mezz.expect(left.console:find "count: 5", "the left guest counted to its end")
mezz.expect(right.console:find "hello: argument 3: right", "the right guest's program ran")
mezz.expect(not left.console:find "hello", "the left console has nothing of the right guest")
mezz.expect(not right.console:find "count", "the right console has nothing of the left guest")
mezz.expect(left.exits.preemption_timer.total > 0, "the left guest was preempted")
for _, tiny in ipairs { left, right } do
    mezz.expect(tiny.status == "done", tiny.name .. " ended well")
    mezz.expect(tiny.console:find "tiny-os: all programs ended", tiny.name .. " ran all it had")
end
