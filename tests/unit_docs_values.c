/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values in docs/abi.md against the headers: each number that a header defines is in a row like
 * "| `MEZZ_CPU_HLT_EXITING` | 0x80 |".
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "docs_reader.h"
#include "hookguard/hooks/calls.h"
#include "mezz/callback.h"
#include "mezz/calls.h"
#include "mezz/ept.h"
#include "mezz/exit.h"
#include "mezz/gate.h"
#include "mezz/pvh.h"
#include "runner.h"

#define VALUE(name)                            \
    {                                          \
        "MEZZ_" #name, (uint64_t)(MEZZ_##name) \
    }

static const struct {
    const char *name;
    uint64_t value;
} values[] = {
    VALUE(ABI_VERSION),
    VALUE(CPUID_SIGNATURE),
    VALUE(CPUID_INTERFACE),
    VALUE(SIGNATURE_EBX),
    VALUE(SIGNATURE_ECX),
    VALUE(SIGNATURE_EDX),
    VALUE(FEATURE_CALLBACKS),
    VALUE(FEATURE_CLASSIC),
    VALUE(FEATURE_VIEWS),
    VALUE(FEATURE_SMP),
    VALUE(PAGE_SIZE),
    VALUE(MAX_L2),
    VALUE(MAX_L2_VCPUS),
    VALUE(MAX_CALLBACKS),
    VALUE(MAX_CONDITIONS),
    VALUE(MAX_VIEWS),
    VALUE(NAME_SIZE),
    VALUE(PORT_UART),
    VALUE(PORT_DEBUG_EXIT),
    VALUE(PORT_POST),
    VALUE(PVH_START_MAGIC),
    VALUE(PVH_START_VERSION),
    VALUE(PVH_NOTE_TYPE),
    VALUE(PVH_MEMORY_RAM),
    VALUE(PVH_MEMORY_RESERVED),
    VALUE(PVH_MEMORY_ACPI),
    VALUE(PVH_MEMORY_NVS),
    VALUE(PVH_MEMORY_UNUSABLE),
    VALUE(CALL_PORT),
    VALUE(L2_DIED),
    VALUE(GROUPS_LOADED),
    VALUE(VMCS12_REVISION),
    VALUE(SEGMENT_UNUSABLE),
    VALUE(PIN_EXTERNAL_INTERRUPT_EXITING),
    VALUE(PIN_PREEMPTION_TIMER),
    VALUE(CPU_INTERRUPT_WINDOW_EXITING),
    VALUE(CPU_HLT_EXITING),
    VALUE(CPU_UNCONDITIONAL_IO_EXITING),
    VALUE(CPU_USE_IO_BITMAPS),
    VALUE(CPU_USE_MSR_BITMAPS),
    VALUE(VMEXIT_SAVE_DEBUG),
    VALUE(VMEXIT_SAVE_MSRS),
    VALUE(COMPLETION_FAULT),
    VALUE(SYNC_RECORDS),
    VALUE(EXIT_ENTRY_FAILED),
    VALUE(EXIT_RETIRED),
    VALUE(EXIT_PENDING),
    VALUE(PORTION_REASON_MASK),
    VALUE(PORTION_ACCESS_SHIFT),
    VALUE(PORTION_ID_SHIFT),
    VALUE(PORTION_ALLOW),
    VALUE(GUARD_REASON_MASK),
    VALUE(GUARD_VERDICT_SHIFT),
    VALUE(GUARD_FUNCTION_SHIFT),
    VALUE(GUARD_NO_FUNCTION),
    VALUE(GUARD_ASKED),
    VALUE(GUARD_RETURNED),
    VALUE(GUARD_LET),
    VALUE(IO_SIZE_MASK),
    VALUE(IO_IN),
    VALUE(IO_STRING),
    VALUE(IO_PORT_SHIFT),
    VALUE(EPT_VIOLATION_READ),
    VALUE(EPT_VIOLATION_WRITE),
    VALUE(EPT_VIOLATION_FETCH),
    VALUE(EPT_VIOLATION_READABLE),
    VALUE(EPT_VIOLATION_WRITABLE),
    VALUE(EPT_VIOLATION_EXECUTABLE),
    VALUE(EVENT_VECTOR_MASK),
    VALUE(EVENT_TYPE_SHIFT),
    VALUE(EVENT_TYPE_MASK),
    VALUE(EVENT_EXTERNAL),
    VALUE(EVENT_NMI),
    VALUE(EVENT_EXCEPTION),
    VALUE(EVENT_DELIVER_CODE),
    VALUE(EVENT_VALID),
    VALUE(EPT_READ),
    VALUE(EPT_WRITE),
    VALUE(EPT_EXECUTE),
    VALUE(EPT_RWX),
    VALUE(EPT_MEMORY_TYPE),
    VALUE(EPT_WRITE_BACK),
    VALUE(EPT_IGNORE_PAT),
    VALUE(EPT_LEAF),
    VALUE(EPT_ACCESSED),
    VALUE(EPT_DIRTY),
    VALUE(EPT_COPY_ON_WRITE),
    VALUE(EPT_ADDRESS),
    VALUE(EPT_ENTRIES),
    VALUE(EPT_LEVELS),
    VALUE(EPT_TABLE_RESERVED),
    VALUE(EPTP_WRITE_BACK),
    VALUE(EPTP_LEVELS),
    VALUE(EPTP_DIRTY_FLAGS),
    VALUE(EPTP_LOW_MASK),
    VALUE(VIEW_NONE),
    VALUE(GATE_ADDRESS),
    VALUE(GATE_ANY_VIEW),
    VALUE(MAX_GATE_SITES),
    VALUE(STATE_MASK_ALLOWED),
    VALUE(RETURN_LOAD_REGS),
    VALUE(RETURN_FAULT),
    VALUE(RETURN_STAY),
    VALUE(RETURN_FLAGS),
};

START_TEST(every_value)
{
    char *doc = read_source("docs/abi.md");

    ck_assert_ptr_nonnull(doc);
    for (size_t i = 0; i < ELEMENTS(values); i++) {
        char row[128];

        snprintf(row, sizeof(row), "\n| `%s` | 0x%llx |", values[i].name,
                 (unsigned long long)values[i].value);
        ck_assert_msg(strstr(doc, row) != NULL, "docs/abi.md lacks the row%s", row);
    }
    free(doc);
}
END_TEST

static bool has_value(const char *name, size_t length)
{
    for (size_t i = 0; i < ELEMENTS(values); i++)
        if (strlen(values[i].name) == length && memcmp(values[i].name, name, length) == 0)
            return true;
    return false;
}

/* A number that a header defines is among the values. */
START_TEST(every_definition)
{
    char *header = read_abi_header((size_t)_i);

    for (const char *at = header; (at = strstr(at, "\n#define MEZZ_")) != NULL;) {
        const char *name = at + strlen("\n#define ");
        size_t length = 0;
        const char *rest;

        while (is_word(name[length]))
            length++;
        at = name + length;
        rest = at + strspn(at, " ");
        if (*at == '(' || *rest == '"' || is_internal(name, length))
            continue;
        ck_assert_msg(has_value(name, length), "%.*s of %s.h is not in values[]", (int)length, name,
                      abi_headers[_i]);
    }
    free(header);
}
END_TEST

/* What a guard tells L1. */
START_TEST(every_guard_reason)
{
    char *doc = read_source("docs/hookguard.md");

    ck_assert_ptr_nonnull(doc);
    for (enum hook_reason r = HOOK_REASON_CALL; r < HOOK_REASONS; r++) {
        char row[64];

        snprintf(row, sizeof(row), "\n| %u | `%s` |", (unsigned int)r, hook_reason_name(r));
        ck_assert_msg(strstr(doc, row) != NULL, "docs/hookguard.md lacks the row%s", row);
    }
    free(doc);
}
END_TEST

RUN_CASES_IF(docs_obstacle, "docs: values", 30, ONCE(every_value), ONCE(every_guard_reason),
             EACH(every_definition, ABI_HEADERS))
