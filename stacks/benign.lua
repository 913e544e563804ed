-- SPDX-License-Identifier: Apache-2.0
-- No false alarms: two honest programs at the same time, interrupted, call every function of the
-- API library with arguments from a seed; guarded and not they get the same results, and nothing is
-- refused. Each of them makes half of the calls. docs/hookguard.md says how long it takes.

local calls = 100000

local functions = {
    api_open = { args = { "cstring", "value" } },
    api_read = { args = { "value", { "memory", length = 3 }, "value" } },
    api_write = { args = { "value", { "buffer", length = 3 }, "value" } },
    api_close = { args = { "value" } },
    api_send = { args = { "value", { "buffer", length = 3 }, "value" } },
    api_receive = { args = { { "memory", length = 2 }, "value" } },
    api_sum = { args = { { "memory", length = 2 }, "value" } },
    api_append = { args = { "cstring", { "buffer", length = 3 }, "value" } },
}

local function run(guarded)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = "exits=callback" }
    local each = calls // 2
    local tiny = l1:l2 { name = "tiny", image = "tiny-os.elf", memory = "16M",
        programs = { "libapi.elf", "agent.elf", "workload.elf 1 " .. each,
            "workload.elf 2 " .. each } }
    if guarded then
        tiny:guard { library = "libapi.elf", agent = "agent.elf", functions = functions }
    end
    local result = stack:run { timeout = "14400s" }
    mezz.expect(result.status == "done", "L1 ended the machine, and well")
    return tiny, result
end

local free, guarded = run(false), run(true)
for seed = 1, 2 do
    local sum = ("^(workload: seed %d, %d calls, sum %%x+)$"):format(seed, calls // 2)
    mezz.expect(free.console:match(sum), "the program ran to its end")
    mezz.expect(free.console:match(sum) == guarded.console:match(sum),
        "the same results with and without the guard")
end
local counts = guarded.guarded
mezz.expect(counts.refused == 0, "nothing was refused")
mezz.expect(counts.allowed == counts.calls, "nothing was denied, unreadable or too long")
mezz.expect(counts.calls >= calls, "each call went through the agent")
mezz.expect(free.exits.ept_violation.total == 0, "a call that is not guarded costs no exit")
mezz.expect(guarded.exits.preemption_timer.total > 0, "the programs were interrupted")

print(("%d guarded calls, %d system calls in them, %d interrupts waited, %d did not"):format(
    counts.calls, counts.events["system-call"], counts.held, counts.forced_out))
