-- SPDX-License-Identifier: Apache-2.0
-- Attacks on guarded API functions, portions and the root: each with all defences on, where it has
-- to fail; and with exactly the one against it off, where it has to succeed. Where others would stop it,
-- too, these are off for that, and a run between has just the one on. docs/hookguard.md explains the rows.
-- `mezz run stacks/attacks.lua --json OUT` writes each row of the table as a member of "rows".

local runs, all_runs = 0, 0
local function title(name, how)
    runs = runs + 1
    return ("%d of %d: %s%s"):format(runs, all_runs, name, how and ", " .. how or "")
end

local function both(list, more)
    local all = { table.unpack(list) }
    for _, name in ipairs(more) do all[#all + 1] = name end
    return all
end

local api = {
    api_open = { args = { "cstring", "value" } },
    api_write = { args = { "value", { "buffer", length = 3 }, "value" } },
    api_read = { args = { "value", { "memory", length = 3 }, "value" } },
    api_close = { args = { "value" } },
    api_send = { args = { "value", { "buffer", length = 3 }, "value" } },
    api_receive = { args = { { "memory", length = 2 }, "value" } },
    api_sum = { args = { { "memory", length = 2 }, "value" } },
    api_append = { args = { "cstring", { "buffer", length = 3 }, "value" } },
}
-- Those that are the attacker's own.
local own = {
    own_pay = { args = { "cstring", "number" } },
    own_sum = { args = { { "memory", length = 2 }, "number" } },
}

-- One guest whose programs attack, under a guard with all defences but these.
local function guarded(attack, how, without)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = "exits=callback" }
    local agent = attack.agent or "agent.elf"
    local programs = { "libapi.elf", agent, "attack.elf " .. attack.program }
    if attack.helper then programs[4] = "attack.elf " .. attack.program .. "-helper" end
    local tiny = l1:l2 { name = "tiny", image = "tiny-os.elf", memory = "16M", programs = programs,
        cmdline = "hostile" } -- the kernel maps what attackers want
    tiny:guard {
        library = not attack.own and "libapi.elf" or nil, program = attack.own and "attack.elf" or nil,
        agent = agent, on_refusal = attack.on_refusal, without = #without > 0 and without or nil,
        functions = attack.own and own or api,
    }
    local result = stack:run { timeout = "900s", quiet = true,
        title = title(attack.name, how) }
    mezz.expect(result.status == "done", attack.name .. ": L1 ended the machine, and well")
    return tiny
end

-- id and name as in the table of docs/hookguard.md; off: what stops it; needs: what else would.
local attacks = {
    { "1a", "stray gate", program = "stray-gate", off = { "gate-sites" }, needs = { "app-nx" },
        reason = "stray-gate" },
    { "1b", "stray gate, no list of sites", program = "stray-gate", off = { "app-nx" },
        needs = { "gate-sites" }, reason = "outside" },
    { "1c", "gate within an instruction", program = "hidden-gate", off = { "gate-sites" },
        needs = { "app-nx" }, reason = "stray-gate" },
    { "1d", "a program's own code, returned to", program = "own-return", own = true,
        agent = "own-agent.elf", off = { "app-nx" }, reason = "outside" },
    { "2", "bad view index", program = "bad-index", off = { "gate-index" },
        needs = { "app-nx" }, reason = "bad-index" },
    { "3a", "hook skip, every offset", program = "skip", off = { "api-nx" },
        needs = { "padding" }, reason = "not-an-entry", on_refusal = "error" },
    { "3b", "the same, padding", program = "skip", off = { "padding" }, needs = { "api-nx" },
        reason = "not-an-entry", on_refusal = "error" },
    { "3c", "the same, of a program's own", program = "own-skip", own = true,
        agent = "own-agent.elf", off = { "api-nx" }, needs = { "padding" },
        reason = "not-an-entry", on_refusal = "error" },
    { "4", "stolen prologue", program = "stolen-prologue", off = { "api-nx" },
        needs = { "padding" }, reason = "not-an-entry" },
    { "5a", "straddling instruction", program = "straddle", off = { "api-nx" },
        needs = { "padding" }, reason = "not-an-entry" },
    { "5b", "the same, padding", program = "straddle", off = { "padding" },
        needs = { "api-nx" }, reason = "not-an-entry" },
    { "6", "hook overwrite", program = "overwrite", off = { "read-only" },
        needs = { "api-nx", "padding" }, reason = "code-write" },
    { "6b", "overwriting the agent", program = "overwrite-agent", off = { "agent-hidden" },
        reason = "agent-write" },
    { "7", "hook detection by reading", program = "read-hook", off = { "api-nx" },
        because = "there is no hook to be read" },
    { "8", "shadow discovery", program = "discover", off = { "agent-hidden" },
        reason = "agent-read", on_refusal = "error" },
    { "9", "remap", program = "remap", off = { "mapping-check" }, reason = "remapped" },
    { "10a", "alias of the agent's data", program = "alias", off = { "agent-hidden" },
        reason = "agent-read" },
    { "10b", "alias of the function", program = "alias-call", off = { "api-nx" },
        needs = { "padding" }, reason = "alias" },
    { "10c", "2 MiB over the agent's data", program = "alias-large", off = { "agent-hidden" },
        reason = "agent-read" },
    { "10d", "alias as an argument: read", program = "alias-read", off = { "agent-hidden" },
        reason = "bad-argument", on_refusal = "error" },
    { "10e", "alias as an argument: written", program = "alias-write", off = { "agent-hidden" },
        reason = "bad-argument", on_refusal = "error" },
    { "10f", "alias as the caller's stack", program = "alias-stack", off = { "agent-hidden" },
        reason = "no-stack", on_refusal = "error" },
    { "10g", "page table in the exchange", program = "table-pages", off = { "table-check" },
        reason = "bad-tables", on_refusal = "error" },
    { "10h", "interrupt's stack in the agent's", program = "table-stack", off = { "table-check" },
        reason = "bad-tables", on_refusal = "error" },
    { "10i", "IDT in the exchange", program = "table-idt", off = { "table-check" },
        reason = "bad-tables", on_refusal = "error" },
    { "10j", "GDT in the exchange", program = "table-gdt", off = { "table-check" },
        reason = "bad-tables", on_refusal = "error" },
    { "10k", "TSS in the exchange", program = "table-tss", off = { "table-check" },
        reason = "bad-tables", on_refusal = "error" },
    { "13", "argument race", program = "race", helper = true, agent = "agent-waits.elf",
        off = { "copies" }, because = "the function has the copies" },
    { "14a", "shared stack: return address", program = "return", helper = true,
        agent = "agent-waits.elf", off = { "return-check" }, reason = "return-changed" },
    { "14b", "shared stack: the agent's frames", program = "stack", helper = true,
        agent = "agent-waits.elf", off = { "agent-stack" }, needs = { "app-nx" },
        because = "the agent has a stack of its own" },
    { "15", "interrupt in the security view", program = "interrupt", helper = true,
        agent = "agent-waits.elf", off = { "kernel-nx" }, needs = { "app-nx" },
        reason = "not-an-entry" },
    { "15b", "handler on a page of later", program = "handler", off = { "table-check" },
        reason = "bad-tables", on_refusal = "error" },
}

-- What no defence stops, by its nature: whose address space it is can have other code than the
-- function there, which gains what a system call of his own gains; and a call takes its time. What
-- is noticed afterwards has what notices it, without which it is not.
local natural = {
    { "7b", "hook detection by time", program = "time",
        because = "by its nature: a call takes as long as it takes" },
    { "9b", "a copy at the function's address", program = "copy",
        because = "by its nature: who makes the system call himself needs no function" },
    { "9c", "the same, another call after it", program = "copy-call", off = { "mapping-check" },
        reason = "remapped", on_refusal = "error" },
}

-- stacks/portions.lua has all of those on portions. The last: what else would stop it.
local portions = {
    { "18", "portion entered elsewhere", "vault-middle.elf", "not-an-entry-point", {} },
    { "19", "malicious bytes", "vault-pattern.elf", "pattern", {} },
    { "19b", "the same, written after the scan", "vault-inject.elf", "pattern",
        { "write-outside" } },
}

local pairs_of_vcpus = { { "11", "sibling vCPU", "sibling" }, { "12", "swap window", "swap" } }

local hostiles = {
    { "16a", "callback that never returns", "handler=spins", "L1 ends, with a diagnosis" },
    { "16b", "callback that returns twice", "case=return-twice", "E_STATE" },
    { "16c", "unregistered in flight", "case=unregister-in-flight", "E_STATE" },
    { "16d", "forged action", "case=forged-action", "E_ACTION" },
    { "16e", "forged VMCS12", "case=forged-vmcs", "entry checks" },
    { "16f", "callbacks and VMCS12s at random", "seed=1616 count=300", "error codes" },
    { "17a", "double fetch of a VMCS12", "case=double-fetch", "copied once",
        vcpus = 2 },
    { "17b", "the same at random", "seed=1717 count=300", "copied once" },
    { "20a", "EPT12 with a loop", "case=ept-loop", "E_EPT_FORMAT" },
    { "20b", "EPT12 with reserved bits", "case=ept-reserved", "E_EPT_FORMAT" },
    { "20c", "EPT12 outside of L1", "case=ept-outside", "E_EPT_ADDRESS" },
    { "20d", "EPT12 that L2 may write", "case=ept-self", "E_EPT_ADDRESS" },
    { "20e", "EPT12, 512 tables each time", "case=ept-deep", "E_EPT_LIMIT" },
    { "20f", "EPT12 at random", "seed=2020 count=300", "error codes" },
}
all_runs = 2 * (#attacks + #portions + #pairs_of_vcpus) + #natural + #hostiles
for _, attack in ipairs(natural) do all_runs = all_runs + (attack.off and 1 or 0) end
for _, attack in ipairs(attacks) do all_runs = all_runs + (attack.needs and 1 or 0) end
for _, attack in ipairs(portions) do all_runs = all_runs + (#attack[5] > 0 and 1 or 0) end

local line = "%-5s %-34s %-16s %-13s %-12s %-12s %s"
local stopped_with, succeeded_without, always = 0, 0, 0
local function row(id, name, defence, with, alone, without_it, reason)
    stopped_with = stopped_with + (with == "stopped" and 1 or 0)
    succeeded_without = succeeded_without + (with == "stopped" and without_it == "succeeded" and 1 or 0)
    always = always + (without_it == "always on" and 1 or 0)
    print(line:format(id, name, defence, with, alone, without_it, reason))
    mezz.row { id = id, name = name, defence = defence, with = with, alone = alone,
        without = without_it, reason = reason }
end

-- What the guest's guard refused, as it was counted.
local function refused_as(tiny, because)
    local reasons = {}
    for reason, count in pairs(tiny.guarded.refusals) do
        if count > 0 then reasons[#reasons + 1] = reason end
    end
    table.sort(reasons)
    return #reasons > 0 and table.concat(reasons, ", ") or because or "-"
end

local function outcome(stopped) return stopped and "stopped" or "SUCCEEDED" end

print(line:format("", "attack", "stopped by", "all on", "it alone", "all but it", "refused as"))
for _, attack in ipairs(attacks) do
    local id, name = attack[1], attack[2]
    attack.name = id .. " " .. name
    local needs = attack.needs or {}
    local with = guarded(attack, "all on", {})
    local alone = attack.needs and guarded(attack, "it alone", needs) or with
    local bare = guarded(attack, "without", both(needs, attack.off))
    local won = "attack: " .. attack.program:gsub("%-", "%%-") .. "[%-%a]*: succeeded"
    local stopped, by_it = not with.console:match(won), not alone.console:match(won)
    local succeeded = bare.console:match(won) ~= nil

    row(id, name, table.concat(attack.off, ", "), outcome(stopped), outcome(by_it),
        succeeded and "succeeded" or "STOPPED", refused_as(alone, attack.because))
    mezz.expect(stopped, attack.name .. ": fails")
    mezz.expect(by_it, attack.name .. ": fails by " .. attack.off[1] .. " alone")
    mezz.expect(succeeded, attack.name .. ": succeeds without " .. attack.off[1])
    if attack.reason then
        mezz.expect(alone.guarded.refusals[attack.reason] > 0,
            attack.name .. ": is refused as " .. attack.reason)
    end
end

local detected = 0
for _, attack in ipairs(natural) do
    attack.name = attack[1] .. " " .. attack[2]
    local won = "attack: " .. attack.program:gsub("%-", "%%-") .. ": succeeded"
    local tiny = guarded(attack, "all on", {})
    local succeeded = tiny.console:match(won) ~= nil
    local seen = tiny.guarded.refused > 0
    local bare = attack.off and guarded(attack, "without", attack.off)

    row(attack[1], attack[2], "none",
        not succeeded and "STOPPED" or seen and "detected only" or "succeeded", "-",
        bare and (bare.guarded.refused > 0 and "DETECTED" or "succeeded") or "-",
        refused_as(tiny, attack.because))
    mezz.expect(succeeded, attack.name .. ": nothing stops it, and docs/hookguard.md says so")
    mezz.expect(seen == (attack.off ~= nil), attack.name .. ": what is noticed of it")
    if bare then
        detected = detected + 1
        mezz.expect(tiny.guarded.refusals[attack.reason] > 0,
            attack.name .. ": is told of as " .. attack.reason)
        mezz.expect(bare.console:match(won) and bare.guarded.refused == 0,
            attack.name .. ": succeeds unnoticed without " .. attack.off[1])
    end
end

-- --- portions ---

local function portion(id, program, how, tolerated)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = "exits=callback" }
    local tiny = l1:l2 { name = "tiny", image = "tiny-os.elf", memory = "16M",
        programs = { program }, cmdline = "hostile" }
    tiny:protect { program = program, portion = "vault", sections = { ".vault", ".secret" },
        entries = { "vault_sign", "vault_check" }, rules = "rules/example.yar",
        tolerate = #tolerated > 0 and tolerated or nil }
    stack:run { timeout = "900s", quiet = true,
        title = title(id .. " " .. program, how) }
    return tiny.console:find "the attack succeeded" ~= nil
end

for _, attack in ipairs(portions) do
    local id, name, program, reason, tolerated = table.unpack(attack)
    local stopped = not portion(id, program, "all on", {})
    local by_it = #tolerated == 0 and stopped or not portion(id, program, "it alone", tolerated)
    local succeeded = portion(id, program, "without", both(tolerated, { reason }))
    row(id, name, "portion", outcome(stopped), outcome(by_it),
        succeeded and "succeeded" or "STOPPED", reason)
    mezz.expect(stopped, id .. " " .. name .. ": fails")
    mezz.expect(by_it, id .. " " .. name .. ": fails by its pattern or entry alone")
    mezz.expect(succeeded, id .. " " .. name .. ": succeeds when it is only logged")
end

-- --- two vCPUs of one L2: views are each vCPU's own. Without views L1 has one EPT12 for both, in
-- which it opens what the first vCPU needs as long as that is inside ---

local function pair(group)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "pair_l1.elf", memory = "32M", vcpus = 2,
        cmdline = "group=" .. group }
    local result = stack:run { timeout = "300s", quiet = true, title = title("two vCPUs", group) }
    mezz.expect(result.status == "done", group .. ": L1 found all as it has to be")
    local tried = l1.console:match "attack: [%a%-]*: %a+" ~= nil
    return tried, l1.console:match "attack: [%a%-]*: succeeded" ~= nil
end

for _, attack in ipairs(pairs_of_vcpus) do
    local id, name, group = table.unpack(attack)
    local tried, won = pair(group .. "-views")
    local _, succeeded = pair(group)
    row(id, name, "views", outcome(not won), outcome(not won),
        succeeded and "succeeded" or "STOPPED", "ept_violation")
    mezz.expect(tried and not won, id .. " " .. name .. ": fails")
    mezz.expect(succeeded, id .. " " .. name .. ": succeeds with one EPT12 for both vCPUs")
end

-- --- hostile L1s: what the root checks of L1 cannot be switched off ---

local function hostile(name, cmdline, vcpus)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "hostile_l1.elf", memory = "32M", vcpus = vcpus,
        cmdline = cmdline }
    local result = stack:run { timeout = "300s", callback_timeout = "300ms", may_die = true,
        quiet = true, title = title(name) }
    return result, l1
end

for _, attack in ipairs(hostiles) do
    local id, name, cmdline, reason = table.unpack(attack)
    local result, l1 = hostile(id .. " " .. name, cmdline, attack.vcpus)
    local stopped
    if id == "16a" then
        stopped = result.status == "died" and result.error:find "has not returned" ~= nil
    elseif cmdline:find "^case" then
        stopped = result.status == "done" and l1.console:find "stopped, refusals " ~= nil
    else
        stopped = result.status == "done" and l1.refused_calls > 0
    end
    row(id, name, "the root", outcome(stopped), "-", "always on", reason)
    mezz.expect(stopped, id .. " " .. name .. ": fails")
end

local all = #attacks + #portions + #pairs_of_vcpus + #hostiles
print(("%d of %d attacks stopped; %d of the %d whose defence can be switched off succeeded without it; "
    .. "%d that nothing stops by its nature, %d of them detected")
    :format(stopped_with, all, succeeded_without, all - always, #natural, detected))
