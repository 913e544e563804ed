local s = mezz.stack { memory = "64M" }
local l1 = s:l1 { image = "nested_l1.elf", memory = "16M", cmdline = "x", firmware = false }
local a = l1:l2 { name = "a", image = "tiny-os.elf", memory = "2M", programs = { "hello.elf one two" } }
local r = s:run { timeout = "1s", callback_timeout = "20ms", may_die = true }
print(r.status, a.status, a.exits.io.total)
mezz.expect(a.console:find "x", "x")
