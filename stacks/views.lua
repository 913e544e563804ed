-- SPDX-License-Identifier: Apache-2.0
-- Two views of one guest, and a hypervisor that takes it from one to the other. nested_l1 makes the
-- second EPT12 and the list of both (src/nested_l1/lib/views.h); the handler of the guest's console
-- ends with the action "switch view" where a line ends. The guest, in the middle of its work, is not
-- to notice: on each engine it prints what it prints without views.

local function run(cmdline, engine)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = cmdline }
    local tiny = l1:l2 {
        name = "tiny",
        image = "tiny-os.elf",
        memory = "16M",
        engine = engine,
        programs = { "hello.elf one two three", "count.elf" },
    }
    local result = stack:run { timeout = "60s" }

    mezz.expect(result.status == "done", cmdline .. ": L1 ended the machine, and well")
    return tiny.console, l1.console
end

local lines = run "exits=callback"

for _, engine in ipairs { "flip", "remap", "slots" } do
    local console, l1 = run("exits=callback views=turn", engine)
    local turns = l1:match "guest tiny: (%d+) turns from one view to the other"

    print(("%-6s %3s turns"):format(engine, turns or "no"))
    mezz.expect(tonumber(turns) == lines:count "\n", engine .. ": one turn for each line")
    mezz.expect(console:find "hello: argument 3: three", engine .. ": the program ran to its end")
    mezz.expect(console:count "\n" == lines:count "\n", engine .. ": as many lines as with one view")
end
