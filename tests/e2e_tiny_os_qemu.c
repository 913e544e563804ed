/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiny-OS alone, started by QEMU's PVH loader under TCG: the kernel against a machine that is not
 * ours, with a real timer. Needs MEZZ_IMAGES, the directory with the guests' ELF files; MEZZ_QEMU
 * names another qemu-system-x86_64. Several programs go into one newc archive, as QEMU hands over
 * one module only.
 */
#include "qemu_boot.h"
#include "runner.h"

#include <check.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>

START_TEST(one_module)
{
    load("hello.elf");
    boots("", &image, 0);
    ck_assert_str_eq(found("tiny-os: "),
                     "tiny-os: programs: 1\n"
                     "hello from ring 3: program, pid 1\n"
                     "tiny-os: all programs ended (1 exited, 0 faulted, 3 calls, 0 ticks)\n");
}
END_TEST

START_TEST(quiet_and_arguments)
{
    load("hello.elf");
    add_as("hello.elf one two");
    boots("quiet", &archive, 0);
    ck_assert_str_eq(found("hello"),
                     "hello from ring 3: hello.elf, pid 1\n"
                     "hello: argument 1: one\n"
                     "hello: argument 2: two\n"
                     "tiny-os: all programs ended (1 exited, 0 faulted, 5 calls, 0 ticks)\n");
    ck_assert_ptr_null(strstr(console, "tiny-os: programs"));
}
END_TEST

START_TEST(no_module)
{
    boots("", NULL, 1);
    found("tiny-os: no program to run\n");
}
END_TEST

START_TEST(faults_end_one_program)
{
    add("fault.elf");
    add("ud.elf");
    add("edge.elf");
    add("hello.elf");
    boots("", &archive, 0);
    found("tiny-os: fault.elf: page fault (write) at 0x0 rip 0x40");
    found("tiny-os: ud.elf: invalid opcode rip 0x40");
    found("tiny-os: edge.elf: page fault (execute) at 0x");
    found("hello from ring 3: hello.elf, pid 4\n");
    found("tiny-os: all programs ended (1 exited, 3 faulted, ");
    ck_assert_ptr_null(strstr(console, "survived"));
}
END_TEST

START_TEST(hostile_calls)
{
    add("badcalls.elf");
    add("hello.elf");
    boots("", &archive, 0);
    found("badcalls: write(kernel text) = -14\n");
    found("badcalls: a call across pages works\n");
    found("badcalls: a copy of any length works\n");
    found("badcalls: an emptied file works\n");
    found("badcalls: 41 refused, 0 wrong\n");
    found("hello from ring 3: hello.elf, pid 2\n");
    found("tiny-os: all programs ended (2 exited, 0 faulted, ");
}
END_TEST

START_TEST(preemption)
{
    add("spin.elf");
    add("count.elf");
    boots("", &archive, 0);
    in_order("spin: begin\n", "count: 5\n");
    in_order("count: 1\n", "spin: end\n");
    in_order("count: 4\n", "count: 5\n");
    ck_assert_ptr_null(strstr(console, " 0 ticks"));
}
END_TEST

/* The control for the test above: without the timer the programs run one after the other. */
START_TEST(no_preemption_without_ticks)
{
    add("spin.elf");
    add("count.elf");
    boots("tick=0", &archive, 0);
    in_order("spin: end\n", "count: 1\n");
    found(" 0 ticks)\n");
}
END_TEST

START_TEST(sleeping)
{
    add("sleep.elf");
    boots("tick=5", &archive, 0);
    in_order("sleep: woke up, 1\n", "sleep: woke up, 3\n");
    found("tiny-os: all programs ended (1 exited, 0 faulted, ");
}
END_TEST

START_TEST(no_sleep_without_ticks)
{
    add("sleep.elf");
    boots("tick=0", &archive, 0);
    found("sleep: no timer (-19)\n");
}
END_TEST

static Elf64_Phdr *segment(unsigned i)
{
    Elf64_Ehdr *header = (void *)image.bytes;

    return (Elf64_Phdr *)(void *)(image.bytes + header->e_phoff) + i;
}

enum mistake {
    SHORT,
    NO_ELF,
    ELF32,
    SHARED,
    MANY_HEADERS,
    HEADERS_SIZE,
    TRUNCATED,
    KERNEL_ADDRESS,
    STACK_ADDRESS,
    HUGE,
    WRAPS,
    FILE_LARGER,
    MISALIGNED,
    ONE_PAGE_TWICE,
    BAD_ENTRY,
    DATA_ENTRY,
    TOO_MUCH,
    MISTAKES
};

static const char *const reasons[MISTAKES] = {
    [SHORT] = "too short for an ELF header",
    [NO_ELF] = "not an ELF file",
    [ELF32] = "not a static x86-64 ELF executable",
    [SHARED] = "not a static x86-64 ELF executable",
    [MANY_HEADERS] = "program headers outside the file",
    [HEADERS_SIZE] = "program headers of another size",
    [TRUNCATED] = "a segment lies outside the file",
    [KERNEL_ADDRESS] = "a segment lies outside the range for programs",
    [STACK_ADDRESS] = "a segment lies outside the range for programs",
    [HUGE] = "a segment lies outside the range for programs",
    [WRAPS] = "a segment lies outside the file",
    [FILE_LARGER] = "a segment is larger in the file than in memory",
    [MISALIGNED] = "a segment has file offset and address in different places of a page",
    [ONE_PAGE_TWICE] = "two segments share a page",
    [BAD_ENTRY] = "the entry point is not in a code segment",
    [DATA_ENTRY] = "the entry point is not in a code segment",
    [TOO_MUCH] = "not enough memory",
};

static void make_header_mistake(enum mistake mistake)
{
    Elf64_Ehdr *header = (void *)image.bytes;

    if (mistake == SHORT) {
        image.size = sizeof(*header) - 1;
    } else if (mistake == NO_ELF) {
        header->e_ident[3] = 'G';
    } else if (mistake == ELF32) {
        header->e_ident[EI_CLASS] = ELFCLASS32;
    } else if (mistake == SHARED) {
        header->e_type = ET_DYN;
    } else if (mistake == MANY_HEADERS) {
        header->e_phnum = UINT16_MAX;
    } else if (mistake == HEADERS_SIZE) {
        header->e_phentsize = 32;
    } else if (mistake == TRUNCATED) {
        image.size = 0x1800;
    } else if (mistake == BAD_ENTRY) {
        header->e_entry = 0xffffffff80110000;
    } else if (mistake == DATA_ENTRY) {
        header->e_entry = segment(1)->p_vaddr;
    }
}

static void make_segment_mistake(enum mistake mistake)
{
    Elf64_Phdr *p = segment(1);

    if (mistake == KERNEL_ADDRESS) {
        p->p_vaddr = 0xffffffff80120000;
    } else if (mistake == STACK_ADDRESS) {
        p->p_vaddr = 0x3fffe000;
    } else if (mistake == HUGE) {
        p->p_memsz = UINT64_MAX;
    } else if (mistake == WRAPS) {
        p->p_offset = UINT64_MAX - 0xfff;
    } else if (mistake == FILE_LARGER) {
        p->p_memsz = p->p_filesz - 1;
    } else if (mistake == MISALIGNED) {
        p->p_vaddr += 8;
    } else if (mistake == ONE_PAGE_TWICE) {
        p->p_vaddr = segment(0)->p_vaddr;
    } else if (mistake == TOO_MUCH) {
        p->p_memsz = 0x8000000;
    }
}

START_TEST(hostile_modules)
{
    char line[128];

    for (unsigned i = 0; i < MISTAKES; i++) {
        load("hello.elf");
        make_header_mistake((enum mistake)i);
        make_segment_mistake((enum mistake)i);
        snprintf(line, sizeof(line), "bad%u.elf", i);
        add_as(line);
    }
    add("hello.elf");
    boots("", &archive, 0);
    for (unsigned i = 0; i < MISTAKES; i++) {
        snprintf(line, sizeof(line), "tiny-os: bad%u.elf: not loaded: %s\n", i, reasons[i]);
        found(line);
    }
    found("tiny-os: programs: 1\n");
    found("hello from ring 3: hello.elf, pid 1\n");
}
END_TEST

START_TEST(unknown_option)
{
    load("hello.elf");
    boots("tick=often quiet", &image, 0);
    found("tiny-os: unknown option: tick=often\n");
    found("hello from ring 3");
}
END_TEST

START_TEST(api_library)
{
    add("notes.elf");
    add("libapi.elf"); /* behind its user: the kernel looks for it first */
    boots("", &archive, 0);
    found("notes: open works\n");
    found("notes: receive works\n");
    ck_assert_ptr_null(strstr(console, "FAILED"));
    found("tiny-os: all programs ended (1 exited, 0 faulted, ");
}
END_TEST

START_TEST(no_api_library)
{
    add("notes.elf");
    boots("", &archive, 0);
    found("tiny-os: notes.elf: page fault (execute) at 0x10000000 rip 0x10000000: program ended\n");
}
END_TEST

START_TEST(hostile_api_library)
{
    load("libapi.elf");
    segment(0)->p_flags |= PF_W;
    add_as("libapi.elf");
    load("hello.elf");
    add_as("libapi.elf");
    add_as("hello.elf");
    boots("", &archive, 0);
    found(
        "tiny-os: libapi.elf: not loaded: the library has writable segments, which processes would "
        "share\n");
    /* The name alone makes no library. */
    found("hello from ring 3: libapi.elf, pid 1\n");
    found("hello from ring 3: hello.elf, pid 2\n");
}
END_TEST

RUN_CASES_IF(boot_obstacle, "e2e_tiny_os_qemu", TEST_SECONDS + 10, ONCE(one_module),
             ONCE(quiet_and_arguments), ONCE(no_module), ONCE(faults_end_one_program),
             ONCE(hostile_calls), ONCE(preemption), ONCE(no_preemption_without_ticks),
             ONCE(sleeping), ONCE(no_sleep_without_ticks), ONCE(hostile_modules),
             ONCE(unknown_option), ONCE(api_library), ONCE(no_api_library),
             ONCE(hostile_api_library))
