local s = mezz.stack { memory = "96M" }
local l1 = s:l1 { image = "nested_l1.elf", memory = "64M", cmdline = "exits=callback" }
local a = l1:l2 { name = "a", image = "tiny-os.elf", memory = "16M", programs = { "libapi.elf", "agent.elf", "hello.elf" } }
a:guard {
    library = "libapi.elf", agent = "agent.elf", on_refusal = "error",
    decide = "script",
    functions = { api_open = { args = { "cstring", "value" } }, api_sum = { args = { { "memory", length = 2 }, "value" } } },
    answer_within = "5ms",
}
a:on("guard", function(event)
    print(event.type, event.caller)
    return event.type == "asked" and "deny" or nil
end)
local r = s:run { timeout = "1s" }
mezz.expect(r.status == "done", a.guarded.calls, a.guarded.denied)
