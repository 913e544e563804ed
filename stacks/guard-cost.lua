-- SPDX-License-Identifier: Apache-2.0
-- What a guarded call costs, in exits: the time of a call by that of one exit of ring 3 that the
-- root serves, measured in turn by the same program. Medians and 99th percentiles; the engine is
-- what suits the host, and each one that can be forced.

local function run(engine)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = "exits=callback" }
    local tiny = l1:l2 { name = "tiny", image = "tiny-os.elf", memory = "16M", engine = engine,
        programs = { "libapi.elf", "agent.elf", "callcost.elf" } }
    tiny:guard { library = "libapi.elf", agent = "agent.elf",
        functions = { api_open = { args = { "cstring", "value" } }, 
            api_sum = { args = { { "memory", length = 2 }, "value" } } } }
    local result = stack:run { timeout = "120s" }
    mezz.expect(result.status == "done", (engine or "default") .. ": L1 ended the machine, and well")
    return tiny
end

local function figure(tiny, kind)
    local p50, p99 = tiny.console:match("^callcost: " .. kind .. " (%d+) (%d+)$")
    mezz.expect(p50, "callcost said what " .. kind .. " costs")
    return tonumber(p50 or 0), tonumber(p99 or 0)
end

local line = "%-10s %-12s %8s %8s"
print(line:format("engine", "call", "p50", "p99"))
for _, engine in ipairs { "default", "flip", "remap", "slots" } do
    local tiny = run(engine ~= "default" and engine or nil)
    local exit = figure(tiny, "exit")
    for _, kind in ipairs { "exit", "allowed", "denied", "unguarded" } do
        local p50, p99 = figure(tiny, kind)
        print(line:format(engine, kind, ("%.2f"):format(p50 / exit), ("%.2f"):format(p99 / exit)))
        mezz.row { engine = engine, call = kind, p50 = p50 / exit, p99 = p99 / exit,
            exit_ticks = exit }
    end
end
