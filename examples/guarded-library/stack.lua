-- SPDX-License-Identifier: Apache-2.0
-- The guard of docs/hookguard.md's "How to guard a library of one's own".
local stack = mezz.stack { memory = "64M" }
local l1 = stack:l1 { image = "nested_l1.elf", memory = "48M", cmdline = "exits=callback" }
local tiny = l1:l2 { name = "tiny", image = "tiny-os.elf", memory = "16M",
    programs = { "speaker.elf", "speaker-agent.elf", "talk.elf" } }
tiny:guard { library = "speaker.elf", agent = "speaker-agent.elf",
    functions = {
        speaker_say = { args = { { "buffer", length = 2 }, "number" } },
        speaker_beep = { args = { "number" } },
    },
}
tiny:on("guard", function(event)
    print(event.type, event.name, event.caller, event.verdict)
end)
stack:run { timeout = "60s" }
mezz.expect(tiny.guarded.missing == 0, "the guest has library and agent where the guard sees them")
