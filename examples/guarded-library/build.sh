#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: build.sh [MEZZ [OUT]]
# Makes speaker.elf, speaker-agent.elf and talk.elf in OUT, or beside the sources. MEZZ is the source
# tree of mezz; ../.. if it is left out.
set -eu

HERE=$(dirname "$0")
MEZZ=${1:-$HERE/../..}
OUT=${2:-$HERE}
TINY=$MEZZ/guests/tiny-os

compile() {
    ${CC:-gcc} -O2 -ffreestanding -fno-builtin -fno-stack-protector -fno-pic -mno-red-zone \
        -mgeneral-regs-only -fno-asynchronous-unwind-tables -fcf-protection=none \
        -I "$HERE" -I "$TINY" -I "$MEZZ/include" -nostdlib -static \
        -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 "$@"
}

# The library, at 0x10000000.
compile -Wl,-T,"$HERE/speaker.ld" -o "$OUT/speaker.elf" "$HERE/speaker.c"

# The agent, at 0x10200000: its own linker script, start and library, and the callbacks.
compile -Wl,-T,"$TINY/agent/agent.ld" -o "$OUT/speaker-agent.elf" "$TINY/agent/enter.S" \
    "$TINY/agent/agent.c" "$TINY/common/memory.c" "$HERE/speaker-agent.c"

# The program finds the library by the library's symbols.
compile -Wl,-T,"$TINY/lib/program.ld" -Wl,--just-symbols="$OUT/speaker.elf" \
    -o "$OUT/talk.elf" "$TINY/lib/crt0.S" "$TINY/lib/tiny.c" "$TINY/common/format.c" \
    "$TINY/common/memory.c" "$HERE/talk.c"
