-- SPDX-License-Identifier: Apache-2.0
-- An L1 that makes and destroys L2s, switches their views, fires and takes away callbacks, at
-- random, for half an hour. It counts all of it and compares on the way; a line tells how far it
-- is. What the process takes of the host meanwhile can be seen with top, and has to stay the same.

local seconds = 1800
local seed = 1

local stack = mezz.stack {}
local l1 = stack:l1 {
    image = "soak_l1.elf",
    memory = "16M",
    cmdline = ("seconds=%d seed=%d"):format(seconds, seed),
}
local result = stack:run { timeout = ("%ds"):format(2 * seconds + 60) }

mezz.expect(result.status == "done", "L1 found nothing wrong")

local function count(what)
    return tonumber(l1.console:match(".*" .. what .. " (%d+)") or 0)
end

-- It is of use only if much happened.
mezz.expect(count "L2s" > seconds, "L2s came and went")
mezz.expect(count "callbacks" > 10 * seconds, "callbacks fired")
mezz.expect(count "switches" > 10 * seconds, "views were switched")
mezz.expect(count "registrations" > seconds, "callbacks came and went")
