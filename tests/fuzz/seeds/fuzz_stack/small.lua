local s = mezz.stack { memory = "64M" }
local l1 = s:l1 { image = "cmdline", memory = "16M", cmdline = "x", firmware = false }
local a = l1:l2 { name = "a", image = "status", memory = "2M", programs = { "maps one two" } }
local r = s:run { timeout = "1s", callback_timeout = "20ms", may_die = true }
print(r.status, a.status, a.exits.io.total)
mezz.expect(a.console:find "x", "x")
