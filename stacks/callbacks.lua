-- SPDX-License-Identifier: Apache-2.0
-- One guest, four ways to deal with its exits. It writes to its UART, a port access for each byte:
--
--   root      L1 passes the UART through: the root answers, and no code of L1 runs
--   callback  L1 registered a handler for I/O, with the condition that the port is the UART's; the
--             root, which sees the exit first, runs that handler and goes on with the guest
--   reflect   L1's enter call returns with each exit, and L1 enters again: a nested exit as everywhere
--   classic   the same, and each field of the VMCS12 that L1 reads or writes is a call, as it is for a
--             hypervisor on a processor without shadow VMCSs
--
-- The guest does the same each time. What differs is how often L1 had to run for it.

local function run(exits)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = "exits=" .. exits }
    local tiny = l1:l2 {
        name = "tiny",
        image = "tiny-os.elf",
        memory = "16M",
        programs = { "hello.elf one two three" },
    }
    local result = stack:run { timeout = "30s" }
    local console = exits == "root" and l1.console or tiny.console -- whose UART it is

    mezz.expect(result.status == "done", exits .. ": L1 ended the machine, and well")
    mezz.expect(console:find "hello: argument 3: three", exits .. ": the program ran to its end")
    return { io = tiny.exits.io, l1 = l1 }
end

local root = run "root"
local callback = run "callback"
local reflect = run "reflect"
local classic = run "classic"

local line = "%-9s %12s %9s %9s %9s %12s %14s"
print(line:format("", "port accesses", "root", "callback", "reflect", "L1's calls", "L1's KVM_RUNs"))
for _, way in ipairs { "root", "callback", "reflect", "classic" } do
    local it = ({ root = root, callback = callback, reflect = reflect, classic = classic })[way]
    print(line:format(way, it.io.total, it.io.root, it.io.callback, it.io.reflect, it.l1.calls,
        it.l1.kvm_runs))
end

-- The workload is the same: the guest cannot tell.
for _, it in ipairs { callback, reflect, classic } do
    mezz.expect(it.io.total == root.io.total, "as many port accesses each time")
end

-- Who dealt with the UART. The rest, such as the port that ends the guest, is reflected always.
local uart = root.io.root
mezz.expect(uart > 200, "most of the exits are the UART's")
mezz.expect(root.io.callback == 0, "root: no handler ran")
mezz.expect(callback.io.callback == uart, "callback: the handler had them all")
mezz.expect(callback.io.reflect == root.io.reflect, "callback: for no other port")
mezz.expect(reflect.io.reflect == reflect.io.total, "reflect: L1's enter call returned with each")
mezz.expect(classic.io.reflect == classic.io.total, "classic: and here")

-- What it costs L1. A handler ends with one call, which is all that L1 does; classic makes dozens.
mezz.expect(root.l1.calls < 20, "root: L1 starts the guest and ends it")
mezz.expect(callback.l1.calls - root.l1.calls < uart + 20, "callback: one call an exit")
mezz.expect(classic.l1.calls > 20 * callback.l1.calls, "classic: dozens of calls an exit")
