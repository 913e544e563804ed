-- SPDX-License-Identifier: Apache-2.0
-- The same guest twice, under an L1 that handles its guest's exits by callbacks and under one that
-- gets each exit reflected, as nested virtualization does it everywhere else. The guest must not
-- notice; the counts show who did the work.

local function run(exits)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = "exits=" .. exits }
    local tiny = l1:l2 {
        name = "tiny",
        image = "tiny-os.elf",
        memory = "16M",
        programs = { "hello.elf one two" },
    }
    local result = stack:run { timeout = "20s" }
    mezz.expect(result.status == "done", exits .. ": L1 ended the machine, and well")
    mezz.expect(tiny.console:find "hello: argument 2: two", exits .. ": the program ran")
    return tiny
end

local callback = run "callback"
local reflect = run "reflect"

-- Each byte that the guest writes is a port access of its own.
mezz.expect(callback.exits.io.callback >= #callback.console, "callback: the handler took the bytes")
mezz.expect(reflect.exits.io.reflect >= #reflect.console, "reflect: L1's enter returned with them")
mezz.expect(reflect.exits.total.callback == 0, "reflect: no callback ran")
mezz.expect(callback.exits.io.reflect < reflect.exits.io.reflect / 2,
    "callback: hardly a port access went through L1's own loop")

-- What the guest wrote is the same, but for the figures in its last line.
local function greeting(console)
    return console:match "^(hello from ring 3.*)$"
end
mezz.expect(greeting(callback.console) and greeting(callback.console) == greeting(reflect.console),
    "the guest wrote the same in both")

print(("port accesses: %d by callback, %d reflected"):format(
    callback.exits.io.callback, reflect.exits.io.reflect))
