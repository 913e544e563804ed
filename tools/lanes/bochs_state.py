# SPDX-License-Identifier: Apache-2.0
"""The memory in a state that Bochs saved. The file "memory.ram" is the machine's memory, with holes
where it was never used; the text file "memory" gives every block that was used a number."""

import os
import re

from lanes import cache
from lanes.errors import LaneError

BLOCK = 128 << 10
UNUSED = "-1"


def put(directory, address, source):
    """Puts what the file `source` holds at a physical address that begins a block. The files of the
    state in `directory` may be symbolic links; what they lead to is not changed."""
    table, ram = (os.path.join(directory, name) for name in ("memory", "memory.ram"))
    for path in (table, ram):
        _make_own(path)
    first = address // BLOCK
    count = -(-os.path.getsize(source) // BLOCK)
    _mark_used(table, range(first, first + count))
    with open(ram, "r+b") as memory, open(source, "rb") as file:
        memory.seek(address)
        while data := file.read(BLOCK):
            memory.write(data)


def _make_own(path):
    if os.path.islink(path):
        original = os.path.realpath(path)
        os.remove(path)
        # cp keeps the holes: most of the memory is one.
        cache.command(["cp", original, path], None)


def _mark_used(table, blocks):
    with open(table, encoding="ascii") as file:
        text = file.read()
    found = re.search(r"^ *used_blocks = (\d+)$", text, re.M)
    if not found:
        raise LaneError(f"{table} is not a memory table of Bochs 2.7")
    used = int(found[1])

    def number(line):
        nonlocal used
        if int(line[2]) not in blocks or line[3] != UNUSED:
            return line[0]
        used += 1
        return f"{line[1]}{used - 1}"

    text = re.sub(r"^( *blk(\d+) = )(\S+)$", number, text, flags=re.M)
    text = re.sub(r"^( *used_blocks = )\d+$", rf"\g<1>{used}", text, flags=re.M)
    with open(table, "w", encoding="ascii") as file:
        file.write(text)
