/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/abi.md against the headers: every name of the interface is in it, numbers and offsets are in
 * rows of their tables ("| 16 | `MEZZ_CHECK_CONTROLS` |", "| 160 | 144 | `regs` |"). And
 * docs/tutorial-l1.md and docs/hookguard.md against the examples that they explain: their code is
 * the code in the tree. And docs/security.md against the cage.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cage/cage.h"
#include "docs_reader.h"
#include "mezz/callback.h"
#include "mezz/calls.h"
#include "mezz/gate.h"
#include "mezz/pvh.h"
#include "runner.h"

#define EXAMPLE_LINES 200

static bool has_word(const char *text, const char *word, size_t length)
{
    for (const char *at = text; (at = memmem(at, strlen(at), word, length)) != NULL; at++)
        if ((at == text || !is_word(at[-1])) && !is_word(at[length]))
            return true;
    return false;
}

START_TEST(every_name)
{
    char *doc = read_source("docs/abi.md");
    char *header = read_abi_header((size_t)_i);

    ck_assert_ptr_nonnull(doc);
    for (const char *at = header; (at = strstr(at, "MEZZ_")) != NULL;) {
        size_t length = 0;

        while (is_word(at[length]))
            length++;
        if (!is_internal(at, length) && at[length - 1] != '_' && (at == header || !is_word(at[-1])))
            ck_assert_msg(has_word(doc, at, length), "docs/abi.md lacks %.*s of %s.h", (int)length,
                          at, abi_headers[_i]);
        at += length;
    }
    free(header);
    free(doc);
}
END_TEST

static bool has_row(const char *doc, unsigned long number, const char *name, size_t length)
{
    char row[128];

    snprintf(row, sizeof(row), "\n| %lu | `%.*s` |", number, (int)length, name);
    if (strstr(doc, row) != NULL)
        return true;
    snprintf(row, sizeof(row), "\n| 0x%lx | `%.*s` |", number, (int)length, name);
    return strstr(doc, row) != NULL;
}

/* The enumerators between braces, with the numbers that they have in C. */
static unsigned int check_enumeration(const char *at, const char *doc)
{
    const char *end = strchr(at, '}');
    unsigned long number = 0;
    unsigned int rows = 0;

    ck_assert_ptr_nonnull(end);
    while ((at = strstr(at, "    MEZZ_")) != NULL && at < end) {
        const char *name = at += 4;
        size_t length = 0;
        const char *rest;

        while (is_word(name[length]))
            length++;
        rest = name + length + strspn(name + length, " \n");
        if (*rest == '=' && strncmp(rest + 1, " MEZZ_", 6) != 0)
            number = strtoul(rest + 1, NULL, 0);
        if (!is_internal(name, length)) {
            ck_assert_msg(has_row(doc, number, name, length), "no row | %lu | `%.*s` |", number,
                          (int)length, name);
            rows++;
        }
        number++;
    }
    return rows;
}

START_TEST(every_number)
{
    static const char *const tables[] = {
        "errors",   "enum mezz_error {",           "calls",    "enum mezz_call {",
        "exit",     "enum mezz_exit_reason {",     "exit",     "enum mezz_entry_check {",
        "gate",     "enum mezz_gate_refusal {",    "vmcs12",   "enum mezz_vmcs12_group {",
        "vmcs12",   "enum mezz_register {",        "vmcs12",   "enum mezz_segment_register {",
        "vmcs12",   "enum mezz_sync_object {",     "callback", "enum mezz_callback_mode {",
        "callback", "enum mezz_condition_field {", "callback", "enum mezz_condition_operator {",
        "callback", "enum mezz_callback_action {",
    };
    char *doc = read_source("docs/abi.md");

    ck_assert_ptr_nonnull(doc);
    for (size_t i = 0; i < ELEMENTS(tables); i += 2) {
        char name[64];
        char *header;
        const char *at;

        snprintf(name, sizeof(name), "include/mezz/%s.h", tables[i]);
        header = read_source(name);
        ck_assert_ptr_nonnull(header);
        at = strstr(header, tables[i + 1]);
        ck_assert_msg(at != NULL, "%s", tables[i + 1]);
        ck_assert_uint_ge(check_enumeration(at, doc), 2);
        free(header);
    }
    free(doc);
}
END_TEST

#define AT(type, field)                                                         \
    {                                                                           \
#field, offsetof(struct type, field), sizeof(((struct type *)0)->field) \
    }
#define VMCS(field)  AT(mezz_vmcs12, field)
#define FRAME(field) AT(mezz_callback_frame, field)
#define REG(field)   AT(mezz_callback_registration, field)

static const struct {
    const char *name;
    size_t offset, size;
} places[] = {
    VMCS(revision),
    VMCS(abort),
    VMCS(clean),
    VMCS(changed),
    VMCS(exit.reason),
    VMCS(exit.flags),
    VMCS(exit.qualification),
    VMCS(exit.guest_physical_address),
    VMCS(exit.value),
    VMCS(exit.size),
    VMCS(exit.msr),
    VMCS(exit.interruption_info),
    VMCS(exit.interruption_error_code),
    VMCS(exit.idt_vectoring_info),
    VMCS(exit.idt_vectoring_error_code),
    VMCS(exit.instruction_length),
    VMCS(exit.vm_instruction_error),
    VMCS(exit.count),
    VMCS(completion.value),
    VMCS(completion.flags),
    VMCS(events.interruptibility_state),
    VMCS(events.activity_state),
    VMCS(events.entry_interruption_info),
    VMCS(events.entry_exception_error_code),
    VMCS(ept.eptp),
    VMCS(ept.eptp_index),
    VMCS(regs.gpr),
    VMCS(regs.guest_rip),
    VMCS(regs.guest_rflags),
    VMCS(system.segment),
    VMCS(system.gdtr),
    VMCS(system.idtr),
    VMCS(system.guest_cr0),
    VMCS(system.guest_cr2),
    VMCS(system.guest_cr3),
    VMCS(system.guest_cr4),
    VMCS(system.guest_efer),
    VMCS(msrs.sysenter_cs),
    VMCS(msrs.sysenter_esp),
    VMCS(msrs.sysenter_eip),
    VMCS(msrs.pat),
    VMCS(msrs.star),
    VMCS(msrs.lstar),
    VMCS(msrs.cstar),
    VMCS(msrs.sfmask),
    VMCS(msrs.kernel_gs_base),
    VMCS(msrs.tsc_aux),
    VMCS(debug.dr),
    VMCS(debug.dr6),
    VMCS(debug.dr7),
    VMCS(controls.pin_based),
    VMCS(controls.cpu_based),
    VMCS(controls.cpu_based_secondary),
    VMCS(controls.preemption_timer),
    VMCS(controls.io_bitmap_a),
    VMCS(controls.io_bitmap_b),
    VMCS(controls.msr_bitmap),
    VMCS(controls.tsc_offset),
    VMCS(controls.exit_controls),
    VMCS(sync.count),
    VMCS(sync.more),
    VMCS(sync.record),
    REG(l2),
    REG(reason),
    REG(mode),
    REG(order),
    REG(handler),
    REG(stack),
    REG(frame),
    REG(state_mask),
    REG(cookie),
    REG(condition_count),
    REG(replace),
    REG(condition),
    FRAME(callback),
    FRAME(l2),
    FRAME(vcpu),
    FRAME(view),
    FRAME(time),
    FRAME(cookie),
    FRAME(exit),
    FRAME(state_mask),
    FRAME(sync_count),
    FRAME(sync_more),
    FRAME(entry_interruption_info),
    FRAME(entry_exception_error_code),
    FRAME(regs),
    FRAME(system),
    FRAME(events),
    FRAME(sync),
    AT(mezz_condition, field),
    AT(mezz_condition, op),
    AT(mezz_condition, a),
    AT(mezz_condition, b),
    AT(mezz_sync_record, object),
    AT(mezz_sync_record, key),
    AT(mezz_sync_record, from),
    AT(mezz_sync_record, to),
    AT(mezz_callback_counters, evaluated),
    AT(mezz_callback_counters, fired),
    AT(mezz_callback_counters, failed),
    AT(mezz_callback_counters, sync_records),
    AT(mezz_callback_counters, refused_returns),
    AT(mezz_segment, base),
    AT(mezz_segment, limit),
    AT(mezz_segment, access_rights),
    AT(mezz_segment, selector),
    AT(mezz_l2_parameters, name),
    AT(mezz_pvh_start_info, magic),
    AT(mezz_pvh_start_info, version),
    AT(mezz_pvh_start_info, flags),
    AT(mezz_pvh_start_info, nr_modules),
    AT(mezz_pvh_start_info, modlist_paddr),
    AT(mezz_pvh_start_info, cmdline_paddr),
    AT(mezz_pvh_start_info, rsdp_paddr),
    AT(mezz_pvh_start_info, memmap_paddr),
    AT(mezz_pvh_start_info, memmap_entries),
    AT(mezz_pvh_module, paddr),
    AT(mezz_pvh_module, size),
    AT(mezz_pvh_module, cmdline_paddr),
    AT(mezz_pvh_memory, addr),
    AT(mezz_pvh_memory, size),
    AT(mezz_pvh_memory, type),
    AT(mezz_gate_site, rip),
    AT(mezz_gate_site, cr3),
    AT(mezz_gate_site, from),
    AT(mezz_gate_site, to),
};

START_TEST(every_offset)
{
    char *doc = read_source("docs/abi.md");

    ck_assert_ptr_nonnull(doc);
    for (size_t i = 0; i < ELEMENTS(places); i++) {
        char row[128];

        snprintf(row, sizeof(row), "\n| %zu | %zu | `%s` |", places[i].offset, places[i].size,
                 places[i].name);
        ck_assert_msg(strstr(doc, row) != NULL, "docs/abi.md lacks the row%s", row);
    }
    free(doc);
}
END_TEST

static unsigned int lines_of(const char *text)
{
    unsigned int lines = 0;

    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

/* Each fenced block of C or assembler stands in the example as it is. */
START_TEST(tutorial)
{
    char *doc = read_source("docs/tutorial-l1.md");
    char *c = read_source("examples/l1-in-200-lines/l1.c");
    char *assembler = read_source("examples/l1-in-200-lines/start.S");
    unsigned int blocks = 0;

    ck_assert(doc != NULL && c != NULL && assembler != NULL);
    ck_assert_uint_le(lines_of(c) + lines_of(assembler), EXAMPLE_LINES);
    for (const char *at = doc; (at = strstr(at, "\n```")) != NULL;) {
        const char *start = strchr(at + 1, '\n');
        const char *end = strstr(start, "\n```");
        const char *in = strncmp(at, "\n```c\n", 6) == 0     ? c
                         : strncmp(at, "\n```asm\n", 8) == 0 ? assembler
                                                             : NULL;

        ck_assert_ptr_nonnull(end);
        if (in != NULL) {
            blocks++;
            ck_assert_msg(memmem(in, strlen(in), start + 1, (size_t)(end - start)) != NULL,
                          "not in the example: %.*s", (int)(end - start), start);
        }
        at = end + 4;
    }
    ck_assert_uint_ge(blocks, 8);
    free(assembler);
    free(c);
    free(doc);
}
END_TEST

/* So does each one of the part of docs/hookguard.md that its example is of. */
START_TEST(guarded_library)
{
    static const char *const names[] = {"speaker.c", "speaker-agent.c", "speaker.ld", "stack.lua"};
    char *doc = read_source("docs/hookguard.md");
    char *part = doc != NULL ? strstr(doc, "\n## How to guard a library of one's own\n") : NULL;
    char *end = part != NULL ? strstr(part + 1, "\n## ") : NULL;
    unsigned int blocks = 0;

    ck_assert(part != NULL && end != NULL);
    *end = '\0';
    for (char *at = part; (at = strstr(at, "\n```")) != NULL; at = end + 4) {
        const char *start = strchr(at + 1, '\n') + 1;
        bool found = false;

        end = strstr(start, "\n```");
        ck_assert_ptr_nonnull(end);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            char path[64];
            char *source;

            snprintf(path, sizeof(path), "examples/guarded-library/%s", names[i]);
            source = read_source(path);
            ck_assert_msg(source != NULL, "%s", path);
            found |= memmem(source, strlen(source), start, (size_t)(end - start)) != NULL;
            free(source);
        }
        ck_assert_msg(found, "not in the example: %.*s", (int)(end - start), start);
        blocks++;
    }
    ck_assert_uint_ge(blocks, 4);
    free(doc);
}
END_TEST

/* The system calls of the cage, as docs/security.md lists them: those of both kinds of threads,
 * then those of the vCPUs' alone. */
START_TEST(cage)
{
    char *doc = read_source("docs/security.md");
    const char *only_vcpu;
    char count[32];
    const char *name;
    size_t calls = 0;

    ck_assert_ptr_nonnull(doc);
    only_vcpu = strstr(doc, "Threads that run guests");
    ck_assert_ptr_nonnull(only_vcpu);
    for (; (name = cage_call_name(CAGE_VCPU, calls)) != NULL; calls++)
        ck_assert_msg(has_word(doc, name, strlen(name)), "docs/security.md has no %s", name);
    for (size_t i = 0; (name = cage_call_name(CAGE_MAIN, i)) != NULL; i++)
        ck_assert_msg(strstr(doc, name) < only_vcpu, "%s is of both kinds", name);
    snprintf(count, sizeof(count), "%zu in all", calls);
    ck_assert_msg(strstr(doc, count) != NULL, "docs/security.md does not say %s", count);
    free(doc);
}
END_TEST

RUN_CASES_IF(docs_obstacle, "docs", 30, EACH(every_name, ABI_HEADERS), ONCE(every_number),
             ONCE(every_offset), ONCE(tutorial), ONCE(guarded_library), ONCE(cage))
