/* SPDX-License-Identifier: Apache-2.0 */
/* The L2s: what they do makes the root alter what is theirs. The store to KIT_L2_ABSENT is always
 * reflected; it comes twice, since one delivery has not room for all records. */
#include "objects.h"

#define TEXT_OF(x) #x
#define NUMBER(x)  TEXT_OF(x)
#define REFLECTED  "movb %al, " NUMBER(KIT_L2_ABSENT) "\n"
#define ENDS       "9: " REFLECTED "jmp 9b\n"

/* The address of each page into the page. */
KIT_CODE(write_pages,
         "movl $" NUMBER(OBJECTS_PAGES_AT) ", %edi\n"
                                           "movl $" NUMBER(OBJECTS_PAGES) ", %ecx\n"
                                                                          "1: movq %rdi, (%rdi)\n"
                                                                          "movq %rdi, 8(%rdi)\n"
                                                                          "addl $4096, %edi\n"
                                                                          "decl %ecx\n"
                                                                          "jnz 1b\n" ENDS);

#define WRMSR(number, low, high) \
    "movl $" #number ", %ecx\nmovl $" #low ", %eax\nmovl $" #high ", %edx\nwrmsr\n"

/* All that the group has and each KVM knows; LSTAR twice. */
KIT_CODE(write_msrs, WRMSR(0x174, 0x10, 0) WRMSR(0x175, 0x1234000, 0) WRMSR(0x176, 0x1235000, 0)
                         WRMSR(0x277, 0x00070406, 0x00070406) WRMSR(0xc0000081, 0, 0x00180008)
                             WRMSR(0xc0000082, 0x1236000, 0) WRMSR(0xc0000082, 0x1237000, 0)
                                 WRMSR(0xc0000084, 0x700, 0) WRMSR(0xc0000102, 0x1238000, 0) ENDS);

/* The POST port, which the root answers: the records of the MSRs wait for its callback. */
KIT_CODE(write_msrs_then_port,
         WRMSR(0x175, 0x1234000, 0) WRMSR(0xc0000082, 0x1236000, 0) "outb %al, $0x80\n" ENDS);

KIT_CODE(write_ports, "movl $6, %ecx\n"
                      "1: outb %al, $0x80\n"
                      "inb $0x80, %al\n"
                      "decl %ecx\n"
                      "jnz 1b\n" ENDS);

/* L1 knows of the shadow behind STI by the read; the root then ends the instruction that had it. */
KIT_CODE(sti_shadow, "sti\n"
                     "movb " NUMBER(KIT_L2_ABSENT) ", %al\n"
                                                   "outb %al, $0x80\n"
                                                   "cli\n" ENDS);

/* The root waits in L2's place. */
KIT_CODE(halt, REFLECTED "sti\n1: hlt\njmp 1b\n");

#define COW   (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE | MEZZ_EPT_WRITE_BACK | MEZZ_EPT_COPY_ON_WRITE)
#define DIRTY MEZZ_EPTP_DIRTY_FLAGS
#define HLT   MEZZ_CPU_HLT_EXITING

static const struct scenario scenarios[] = {
    {.name = "copy",
     .code = write_pages,
     .mode = KIT_LONG,
     .page_flags = COW,
     .cpu_based = HLT,
     .observed = {MEZZ_EXIT_EPT_VIOLATION}},
    {.name = "copy-user",
     .code = write_pages,
     .mode = KIT_USER,
     .page_flags = COW,
     .cpu_based = HLT,
     .observed = {MEZZ_EXIT_EPT_VIOLATION}},
    {.name = "dirty",
     .code = write_pages,
     .mode = KIT_LONG,
     .page_flags = KIT_LEAF,
     .eptp_flags = DIRTY,
     .cpu_based = HLT,
     .observed = {MEZZ_EXIT_EPT_VIOLATION}},
    {.name = "dirty-user",
     .code = write_pages,
     .mode = KIT_USER,
     .page_flags = KIT_LEAF,
     .eptp_flags = DIRTY,
     .cpu_based = HLT,
     .observed = {MEZZ_EXIT_EPT_VIOLATION}},
    {.name = "copy-dirty",
     .code = write_pages,
     .mode = KIT_LONG,
     .page_flags = COW,
     .eptp_flags = DIRTY,
     .cpu_based = HLT,
     .observed = {MEZZ_EXIT_EPT_VIOLATION}},
    {.name = "msrs",
     .code = write_msrs,
     .mode = KIT_LONG,
     .cpu_based = HLT,
     .exit_controls = MEZZ_VMEXIT_SAVE_MSRS,
     .observed = {MEZZ_EXIT_WRMSR}},
    {.name = "msrs-later",
     .code = write_msrs_then_port,
     .mode = KIT_LONG,
     .cpu_based = HLT,
     .exit_controls = MEZZ_VMEXIT_SAVE_MSRS,
     .observed = {MEZZ_EXIT_IO}},
    {.name = "ports",
     .code = write_ports,
     .mode = KIT_LONG,
     .cpu_based = HLT,
     .observed = {MEZZ_EXIT_IO}},
    {.name = "interruptibility",
     .code = sti_shadow,
     .mode = KIT_LONG,
     .cpu_based = HLT,
     .observed = {MEZZ_EXIT_IO}},
    {.name = "activity",
     .code = halt,
     .mode = KIT_LONG,
     .preemption_timer = 20000,
     .observed = {MEZZ_EXIT_HLT}},
};

const struct scenario *scenario_find(const char *name)
{
    for (unsigned int i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
        if (kit_same(scenarios[i].name, name))
            return &scenarios[i];
    return NULL;
}
