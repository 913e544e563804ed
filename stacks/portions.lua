-- SPDX-License-Identifier: Apache-2.0
-- A portion of a program: code with a key that only its own two entry points may use, also if the
-- guest's kernel is an attacker's. docs/portions-policy.md describes how it is declared and judged.
--
-- Each attack runs twice: with the portion protected, and with exactly the protection switched off
-- that stops this attack (`tolerate`: such accesses are only logged). It has to fail and to succeed.
-- `mezz run -v` shows what the guests write.

-- changes: of the declaration; false: nothing is declared. may_die: a host may not do what is tried.
local function run(programs, changes, may_die)
    local stack = mezz.stack { memory = "64M" }
    local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = "exits=callback" }
    local tiny = l1:l2 {
        name = "tiny",
        image = "tiny-os.elf",
        memory = "16M",
        cmdline = "hostile", -- the kernel maps what attackers want
        programs = programs,
    }
    local declaration = {
        program = programs[1]:match "^%S+",
        portion = "vault",
        sections = { ".vault", ".secret" },
        entries = { "vault_sign", "vault_check" },
        rules = "rules/example.yar",
        on_refusal = "kill",
    }
    for key, value in pairs(changes or {}) do
        declaration[key] = value
    end
    local second = declaration.second
    declaration.second = nil
    if second then
        second.program = declaration.program
        tiny:protect(second)
    end
    if changes ~= false then
        tiny:protect(declaration)
    end
    local result = stack:run { timeout = "120s", quiet = true, may_die = may_die,
        title = table.concat(programs, ", ") ..
            ((changes == false or declaration.tolerate) and ", without a protection" or "") }
    if not may_die then
        mezz.expect(result.status == "done", programs[1] .. ": L1 ended the machine, and well")
        mezz.expect(tiny.console:find "tiny-os: all programs ended", programs[1] .. ": the guest went on")
    end
    return tiny
end

-- Honest programs: the portion's user twice at the same time, with preemption in it; and another
-- program with other things at the same addresses.
local honest = run { "vault.elf", "vault.elf", "vault-twin.elf" }
mezz.expect(honest.console:count "vault.elf: 80 of 80 answers are right" == 2,
    "two processes with the same portion, each with its own key")
mezz.expect(honest.console:find "vault-twin.elf: 42 is the answer", "the other program is free")
mezz.expect(honest.portions.refused == 0, "nothing is refused")
mezz.expect(honest.portions.entries >= 160, "each call is an entry")
mezz.expect(honest.portions.scans == 2, "the code is scanned once for each process")

-- A system call of the portion's own: the kernel reads none of its code for that.
local asks = run({ "vault-asks.elf" }, { entries = { "vault_sign", "vault_sign_process" } })
mezz.expect(asks.console:find "vault-asks.elf: 10 of 10 answers are right", "it is answered")
mezz.expect(asks.portions.refused == 0, "a system call: nothing is refused")
mezz.expect(asks.portions.entries == 11 and asks.portions.allowed["resume-point"] >= 10,
    "a system call: the portion is come back to")

-- A caller's flags are none of the portion's, and its own again after the call.
local flags = run({ "vault-flags.elf" }, { entries = { "vault_flags", "vault_flags_behind" } })
local after, kept = flags.console:match "flags inside 0x0, behind a call 0x0, after (0x%x+), as (0x%x+)"
mezz.expect(after and after == kept, "flags: DF, NT and AC stay outside")
mezz.expect(flags.portions.refused == 0, "flags: nothing is refused")

-- A kernel that single-steps the program: the portion is left and come back to at each instruction.
local steps = run({ "vault-step.elf" },
    { entries = { "vault_sign", "vault_sign_process", "vault_sign_and_call", "vault_jump" } })
mezz.expect(steps.console:find "vault-step.elf: 16 of 16 answers are right", "single steps: the answers are right")
mezz.expect(steps.portions.refused == 0, "single steps: nothing is refused")

local slow = run({ "vault.elf" }, { strict = true })
mezz.expect(slow.console:find "vault.elf: 80 of 80 answers are right", "strict: the same answers")

-- program, what stops it (a refusal, or how the page was released), what else there is. What is
-- rehearsed is a way in that not every processor has: the program tries it without the portion first.
-- A host may end it, too: kvm_pvm has no instruction fetched in compatibility mode that it cannot map.
local attacks = {
    { "vault-middle.elf", "not-an-entry-point" },
    { "vault-read.elf", "read-outside" },
    { "vault-kernel.elf", "kernel-read" },
    { "vault-write.elf", "write-outside" },
    { "vault-early.elf", "data-differs" },
    { "vault-early.elf kernel", "data-differs" },
    { "vault-alias.elf", "alias" },
    { "vault-pattern.elf", "pattern" },
    { "vault-inject.elf", "pattern", tolerate = { "write-outside" } },
    { "vault-stack.elf", "resume-point-moved" },
    { "vault-return.elf", "return-address" },
    { "vault-hop.elf", "not-an-entry-point", second = { portion = "other", sections = { ".other" },
        entries = { "other_entry" }, on_refusal = "error" } },
    { "vault-pivot.elf", "stack-inside" },
    { "vault-table.elf", "unsafe-space" },
    { "vault-upper.elf", "unsafe-space" },
    { "vault-over.elf", "unsafe-space", entries = { "vault_sign", "vault_mix" } },
    { "vault-syscall.elf lstar", "unsafe-space", rehearsed = true,
        entries = { "vault_sign", "vault_ask_lstar" } },
    { "vault-syscall.elf cstar", "unsafe-space", rehearsed = true,
        entries = { "vault_sign", "vault_ask_cstar" } },
    { "vault-syscall.elf sysenter", "unsafe-space", rehearsed = true,
        entries = { "vault_sign", "vault_ask_sysenter" } },
    { "vault-compat.elf", "not-64-bit", rehearsed = true, entries = { "vault_sign", "vault_half" } },
    { "vault-busy.elf", "other-program", also = "vault-spy.elf" },
    { "vault-busy.elf die", "other-program", also = "vault-spy.elf" },
}

local rehearsed = 0
print(("%-34s %-20s %-10s %s"):format("attack", "refused as", "protected", "switched off"))
for _, attack in ipairs(attacks) do
    local programs = { attack[1], attack.also }
    local name, reason = table.concat(programs, ", "), attack[2]
    local tolerated = { reason, table.unpack(attack.tolerate or {}) }
    local function try(tolerate)
        return run(programs, { tolerate = tolerate, entries = attack.entries, second = attack.second })
    end
    local with, without = try(attack.tolerate), try(tolerated)
    local stopped = not with.console:find "the attack succeeded"
    local succeeded = without.console:find "the attack succeeded" ~= nil
    local possible = not attack.rehearsed or without.console:find "rehearsed" ~= nil and
        not without.console:find "invalid opcode"

    rehearsed = rehearsed + (attack.rehearsed and possible and 1 or 0)
    print(("%-34s %-20s %-10s %s"):format(name, reason, stopped and "stopped" or "SUCCEEDED",
        succeeded and "succeeded" or possible and "STOPPED" or "not on this host"))
    mezz.expect(stopped, name .. ": fails")
    if possible then
        mezz.expect(with.portions.refusals[reason] > 0, name .. ": is refused as " .. reason)
        mezz.expect(succeeded, name .. ": succeeds without this protection")
    end
end
mezz.expect(rehearsed > 0, "some of the rare ways in are there")

-- What no refusal stands for is tried without a portion in its place.
-- A kernel that single-steps the portion, and looks at the registers and flags that it finds then, also
-- where a step looks like a system call of the portion's own, at which it is shown the registers.
for _, way in ipairs { "", " call", " int" } do
    local program = "vault-spied.elf" .. way
    local without = run({ program }, false)
    local with = run({ program }, { entries = { "vault_sign", "vault_ones" } })
    mezz.expect(without.console:find "the attack succeeded", program .. ": succeeds without a portion")
    mezz.expect(with.console:find "rehearsed", program .. ": there is something to see")
    mezz.expect(with.console:find "2 of 2 answers are right", program .. ": what is computed is right")
    mezz.expect(with.console:find "seen in 261 steps: registers 0x0, flags 0x0", program .. ": and hidden")
    mezz.expect(with.portions.refused == 0, program .. ": nothing is refused")
    mezz.expect(with.portions.scans == 1, program .. ": nothing is scanned again")
end

-- A program in ring 1 or 2, which is the kernel's affair. kvm_pvm has no such rings.
for ring = 1, 2 do
    local program = "vault-ring.elf " .. ring
    local without = run({ program }, false, true)
    local with = run({ program }, { entries = { "vault_sign", "vault_nothing" } }, true)
    local possible = without.console:find "rehearsed" ~= nil
    mezz.expect(not with.console:find "the attack succeeded", program .. ": fails")
    if possible then
        mezz.expect(without.console:find "the attack succeeded", program .. ": succeeds without a portion")
        mezz.expect(with.portions.refusals["kernel-fetch"] == 1, program .. ": is refused as the kernel's")
        mezz.expect(with.console:find "tiny-os: all programs ended", program .. ": the guest went on")
    else
        print(("%-34s %-20s %-10s %s"):format(program, "kernel-fetch", "stopped", "not on this host"))
    end
end

-- Instructions that no host does access by access, or that it would try for ever: refused as others
-- are, and the guest goes on.
for _, way in ipairs { "fild", "iret", "lar", "sldt", "sgdt", "sidt", "compat-sgdt" } do
    local strange = run { "vault-strange.elf " .. way, "vault.elf" }
    local refusals = strange.portions.refusals
    mezz.expect(not strange.console:find "the attack succeeded", way .. ": fails")
    mezz.expect(refusals["read-outside"] + refusals["write-outside"] == 1 or
        strange.console:find "no FPU state", way .. ": is refused, or the guest's own affair before")
end

-- KVM itself writes where an MSR of its own says, if a guest has these: no L2 does.
for _, msr in ipairs { "11", "12", "4b564d00", "4b564d01", "4b564d02", "4b564d03", "4b564d04" } do
    local host = run({ "vault-host.elf msr " .. msr }, { entries = { "vault_sign", "vault_digest" } })
    mezz.expect(host.console:find "the attack failed", "MSR 0x" .. msr .. ": the attack fails")
    mezz.expect(host.console:find "asked: -14\n", "MSR 0x" .. msr .. ": there is none")
end

-- A page that the kernel takes away is wiped before anybody else has it: there is nothing to refuse.
local taken = run { "vault-unmap.elf" }
local kept = run({ "vault-unmap.elf" }, { tolerate = { "owner-gone" } })
mezz.expect(taken.console:find "the attack failed", "vault-unmap.elf: finds zeros")
mezz.expect(kept.console:find "the attack succeeded", "vault-unmap.elf: and otherwise the key")
for _, one in ipairs { taken, kept } do
    mezz.expect(one.portions.allowed["owner-gone"] == 1, "vault-unmap.elf: the page was released")
end
