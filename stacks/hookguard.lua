-- SPDX-License-Identifier: Apache-2.0
-- A guarded API: each call of these functions is looked at by an agent, which the caller can
-- neither skip nor see nor touch. docs/hookguard.md describes how.

-- What the functions take; texts and buffers are copied before they are judged,
-- memory that they read or write is the caller's.
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

local function run(guarded, programs)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = "exits=callback" }
    local tiny = l1:l2 { name = "tiny", image = "tiny-os.elf", memory = "16M",
        programs = { "libapi.elf", "agent.elf", table.unpack(programs) } }
    if guarded then
        tiny:guard { library = "libapi.elf", agent = "agent.elf", functions = functions }
    end
    local result = stack:run { timeout = "300s" }
    mezz.expect(result.status == "done", "L1 ended the machine, and well")
    return tiny
end

-- The agent's rule: no program opens a file whose name begins with "secret", and one that asks for
-- "forbidden" ends.
local tiny = run(true, { "denied.elf" })
mezz.expect(tiny.console:find "denied: public.txt: opened", "what is allowed happens")
mezz.expect(tiny.console:find "denied: secret.txt: refused with -13", "what is not is an error")
mezz.expect(tiny.console:find "denied.elf: general protection", "and a bad wish ends the program")
mezz.expect(tiny.guarded.denied == 1, "one call was denied")
mezz.expect(tiny.guarded.refusals.killed == 1, "one killed")

-- An honest program does not notice: two processes at the same time, interrupted, with random
-- arguments from a seed, get the same results with and without the guard, and nothing is refused.
local programs = { "workload.elf 1 300", "workload.elf 2 300" }
local free, guarded = run(false, programs), run(true, programs)
for seed = 1, 2 do
    local sum = "^(workload: seed " .. seed .. ", 300 calls, sum %x+)$"
    mezz.expect(free.console:match(sum), "the program ran to its end")
    mezz.expect(free.console:match(sum) == guarded.console:match(sum),
        "the same results with and without the guard")
end
mezz.expect(guarded.guarded.refused == 0, "nothing was refused")
mezz.expect(guarded.guarded.calls >= 600, "each call went through the agent")
mezz.expect(free.exits.ept_violation.total == 0, "a call that is not guarded costs no exit")

print(("%d guarded calls, %d system calls in them, %d interrupts waited, %d did not"):format(
    guarded.guarded.calls, guarded.guarded.events["system-call"], guarded.guarded.held,
    guarded.guarded.forced_out))
