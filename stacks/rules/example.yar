// SPDX-License-Identifier: Apache-2.0
// Examples of rules for `rules = "rules/example.yar"` of a portion: what code that is about to run
// must not look like. They are compared with the raw bytes of the portion's code pages, so they
// describe machine code, not files. docs/portions-policy.md says when.

// A run of one-byte NOPs, at least 32, that slides into a system call: where a jump that is not
// exact lands. Compilers and linkers pad with long NOPs, so ordinary code does not look like this.
rule nop_sled_to_system_call
{
    meta:
        description = "a NOP sled with a system call behind it"
    strings:
        $int80 = { 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90
                   90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 [0-64] CD 80 }
        $syscall = { 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90
                     90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 [0-64] 0F 05 }
    condition:
        any of them
}

// mov r64, "/bin/sh" and a system call: the usual payload that starts a shell.
rule shell_starter
{
    meta:
        description = "code that loads /bin/sh into a register and calls the kernel"
    strings:
        $load = { (48 | 49) (B8 | B9 | BA | BB | BC | BD | BE | BF) 2F 62 69 6E 2F (73 68 00 | 2F 73 68) [0-64] (0F 05 | CD 80) }
    condition:
        $load
}

// Matches nothing but what was made to match it: for trying out a policy.
rule mezz_test_marker
{
    meta:
        description = "the marker of mezz's own tests"
    strings:
        $marker = "MEZZ\x00MALICIOUS\x00TEST\x00MARKER"
    condition:
        $marker
}
