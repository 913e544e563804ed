-- The L1 of docs/tutorial-l1.md.
local stack = mezz.stack { memory = "4M" }
local l1 = stack:l1 { image = mezz.image "l1-in-200-lines.elf", memory = "2M" }
local result = stack:run { timeout = "10s" }
mezz.expect(l1.console:find "callback: ENTER came back 01 times", "one entry for all of L2's output")
