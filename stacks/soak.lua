-- SPDX-License-Identifier: Apache-2.0
-- Half an hour of everything at random, in rounds of two machines. In the first an L1 makes and
-- destroys L2s, switches their views, fires and takes away callbacks. In the second an L1 hosts a
-- guest whose programs call a guarded API, and another one with a portion. Both count, compare on
-- the way, and are compared here with what the root has counted. What the processes take of the
-- host meanwhile can be seen with top, and has to stay the same.

local seconds = 1800
local seed = 1

local rounds = seconds >= 600 and 6 or 2
local guarded_part = 3 -- of a round's time, one part in three

local total = {}

local function add(what, count)
    total[what] = (total[what] or 0) + count
end

local function churn(seed, seconds)
    local stack = mezz.stack {}
    local l1 = stack:l1 {
        image = "soak_l1.elf",
        memory = "16M",
        cmdline = ("seconds=%d seed=%d"):format(seconds, seed),
    }
    local result = stack:run { timeout = ("%ds"):format(2 * seconds + 60) }
    mezz.expect(result.status == "done", "L1 found nothing wrong")
    for _, what in ipairs { "L2s", "entries", "callbacks", "switches", "registrations" } do
        add(what, tonumber(l1.console:match(".*" .. what .. " (%d+)") or 0))
    end
end

local functions = {
    api_open = { args = { "cstring", "value" } },
    api_read = { args = { "value", { "memory", length = 3 }, "value" } },
    api_write = { args = { "value", { "buffer", length = 3 }, "value" } },
    api_close = { args = { "value" } },
    api_sum = { args = { { "memory", length = 2 }, "value" } },
}

local function guard(seed, seconds)
    local stack = mezz.stack { memory = "96M" }
    local l1 = stack:l1 { image = "nested_l1.elf", memory = "64M", cmdline = "exits=callback" }
    local times = 20 * seconds
    local tiny = l1:l2 { name = "tiny", image = "tiny-os.elf", memory = "16M", programs = {
        "libapi.elf", "agent.elf",
        ("soak.elf %d %d"):format(2 * seed, seconds), ("soak.elf %d %d"):format(2 * seed + 1, seconds),
    } }
    local safe = l1:l2 { name = "safe", image = "tiny-os.elf", memory = "16M", programs = {
        "vault.elf " .. times, "vault.elf " .. times, "vault-twin.elf",
    } }
    tiny:guard { library = "libapi.elf", agent = "agent.elf", functions = functions }
    safe:protect {
        program = "vault.elf", portion = "vault", sections = { ".vault", ".secret" },
        entries = { "vault_sign", "vault_check" }, rules = "rules/example.yar", on_refusal = "kill",
    }
    local result = stack:run { timeout = ("%ds"):format(10 * seconds + 300) }
    mezz.expect(result.status == "done", "L1 ended the machine, and well")

    local calls, denied, wrong = 0, 0, 0
    for n = 2 * seed, 2 * seed + 1 do
        local c, d, w = tiny.console:match("soak: seed " .. n .. ", (%d+) calls, (%d+) denied, (%d+) wrong")
        mezz.expect(c, "the program with seed " .. n .. " ran to its end")
        calls, denied, wrong = calls + (c or 0), denied + (d or 0), wrong + (w or 1)
    end
    mezz.expect(wrong == 0, "each call came to what it must")
    mezz.expect(tiny.guarded.calls == calls, "the root counted the calls that the programs made")
    mezz.expect(tiny.guarded.denied == denied, "the agent denied those that it has to")
    mezz.expect(tiny.guarded.refused == 0, "and nothing was refused to honest programs")
    local answers = ("vault.elf: %d of %d answers are right"):format(4 * times, 4 * times)
    mezz.expect(safe.console:count(answers) == 2, "the portion's answers are right")
    mezz.expect(safe.portions.refused == 0, "nothing is refused to its users")
    mezz.expect(safe.portions.entries >= 8 * times, "each call of the portion is an entry")
    mezz.expect(tiny.exits.io.callback > 0, "callbacks fired")
    add("guarded calls", calls)
    add("denied", denied)
    add("entries of portions", safe.portions.entries)
    add("callbacks", tiny.exits.total.callback + safe.exits.total.callback)
end

for round = 1, rounds do
    local each = seconds // rounds
    churn(100 * seed + round, each - each // guarded_part)
    guard(100 * seed + round, each // guarded_part)
end

-- It is of use only if much happened.
mezz.expect(total["L2s"] > seconds / 2, "L2s came and went")
mezz.expect(total["callbacks"] > 5 * seconds, "callbacks fired")
mezz.expect(total["switches"] > 5 * seconds, "views were switched")
mezz.expect(total["registrations"] > seconds / 2, "callbacks came and went")
mezz.expect(total["guarded calls"] > seconds, "guards were called")
mezz.expect(total["denied"] > seconds / 10, "and said no")

local line = {}
for _, what in ipairs { "L2s", "entries", "callbacks", "switches", "registrations", "guarded calls",
    "denied", "entries of portions" } do
    line[#line + 1] = what .. " " .. total[what]
end
print(("soak in all: %d rounds, %s"):format(rounds, table.concat(line, ", ")))
