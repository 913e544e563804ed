/* SPDX-License-Identifier: Apache-2.0 */
/* The rights of EPT12 entries: RWX, R-X, RW- and R--, in ring 0 and in ring 3; large leaves; rights
 * of upper levels; what may not be. */
#include "groups.h"
#include "kit.h"

#define R       MEZZ_EPT_READ
#define W       MEZZ_EPT_WRITE
#define X       MEZZ_EPT_EXECUTE

#define CR4_SSE 0x600U /* OSFXSR, OSXMMEXCPT */

KIT_CODE(rights_read, "movl $0x20002000, %ebx\n movq (%rbx), %rax\n" KIT_SPIN);
KIT_CODE(rights_write, "movl $0x20002000, %ebx\n movq %rbx, (%rbx)\n" KIT_SPIN);
KIT_CODE(rights_fetch, "movl $0x20002010, %ebx\n jmp *%rbx");
KIT_CODE(rights_add, "movl $0x20002000, %ebx\n lock addq $1, (%rbx)\n" KIT_SPIN);

/* What KVM's emulator does not know. */
#define ON_THE_PAGE(instruction) "movl $0x20002000, %ebx\n " instruction "\n" KIT_SPIN
KIT_CODE(rights_movss, ON_THE_PAGE("movss %xmm0, 16(%rbx)"));
KIT_CODE(rights_movq, ON_THE_PAGE("movq %xmm0, 16(%rbx)"));
KIT_CODE(rights_fstp, ON_THE_PAGE("fldz\n fstpl 16(%rbx)"));
KIT_CODE(rights_stmxcsr, ON_THE_PAGE("stmxcsr 16(%rbx)"));
KIT_CODE(rights_fxsave, ON_THE_PAGE("fxsave (%rbx)"));
KIT_CODE(rights_addps, ON_THE_PAGE("addps 16(%rbx), %xmm0"));
KIT_CODE(rights_fld, ON_THE_PAGE("fldl 16(%rbx)"));
KIT_CODE(rights_popcnt, ON_THE_PAGE("popcntl 16(%rbx), %ecx"));
KIT_CODE(rights_crc32, ON_THE_PAGE("crc32l 16(%rbx), %ecx"));
KIT_CODE(rights_verr, ON_THE_PAGE("verr 16(%rbx)"));

static const struct unknown_case {
    const char *label;
    const char *code;
    uint64_t access;
} unknown_cases[] = {
    {"MOVSS store", rights_movss, W}, {"MOVQ store from XMM", rights_movq, W},
    {"FSTP", rights_fstp, W},         {"STMXCSR", rights_stmxcsr, W},
    {"FXSAVE", rights_fxsave, W},     {"ADDPS", rights_addps, R},
    {"FLD", rights_fld, R},           {"POPCNT", rights_popcnt, R},
    {"CRC32", rights_crc32, R},       {"VERR", rights_verr, R},
};

static const uint8_t spin_code[] = {0xbd, 7, 0, 0, 0, 0xeb, 0xfe}; /* KIT_SPIN */

static const struct rights_case {
    const char *label;
    uint64_t rights;
} rights_cases[] = {
    {"RWX", R | W | X},
    {"R-X", R | X},
    {"RW-", R | W},
    {"R--", R},
};

static struct kit_guest guest;

/* Opens an L2 with the page behind its data mapped with these rights; its first word is 0x1234. */
static uint64_t *open_page(enum kit_mode mode, const char *code, uint64_t rights)
{
    uint64_t *page = kit_pages(1);

    page[0] = 0x1234;
    kit_copy(page + 2, spin_code, sizeof(spin_code));
    kit_open(&guest, mode, code);
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, page, rights);
    kit_use_timer(&guest, 2000);
    return page;
}

static void check_access(enum kit_mode mode, const char *name, const char *code, uint64_t rights,
                         uint64_t access)
{
    uint64_t *page = open_page(mode, code, rights);
    int64_t reason = kit_exit_or_spin(&guest);

    if (rights & access) {
        CHECK_EQ(name, reason, MEZZ_EXIT_PREEMPTION_TIMER);
    } else if (CHECK_EQ(name, reason, MEZZ_EXIT_EPT_VIOLATION)) {
        CHECK_EQ("qualification", guest.vmcs->exit.qualification, access | rights << 3);
        CHECK_EQ("guest-physical address", guest.vmcs->exit.guest_physical_address,
                 KIT_L2_ABSENT + (access == X ? 0x10 : 0));
    }
    CHECK_EQ("memory", page[0], rights & access & W ? KIT_L2_ABSENT : 0x1234);
    if (access == R)
        CHECK_EQ("RAX", guest.vmcs->regs.gpr[MEZZ_RAX], 0x1234);
    kit_close(&guest);
}

static void matrix(enum kit_mode mode)
{
    for (unsigned int i = 0; i < sizeof(rights_cases) / sizeof(rights_cases[0]); i++) {
        const struct rights_case *c = &rights_cases[i];

        KIT_LABEL(c->label);
        check_access(mode, "read", rights_read, c->rights, R);
        check_access(mode, "write", rights_write, c->rights, W);
        check_access(mode, "fetch", rights_fetch, c->rights, X);
    }
    KIT_LABEL("locked addition to R-X");
    open_page(mode, rights_add, R | X);
    CHECK_EQ("exit", kit_exit_or_spin(&guest), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("its write", guest.vmcs->exit.qualification & 7, W);
    CHECK_EQ("with the sum", guest.vmcs->exit.value, 0x1235);
    kit_close(&guest);
    KIT_LABEL("locked addition to RW-");
    CHECK_EQ("memory", *open_page(mode, rights_add, R | W), 0x1234);
    CHECK_EQ("no exit", kit_exit_or_spin(&guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("the sum is there",
             *(uint64_t *)kit_at(*kit_ept_leaf(guest.pml4, KIT_L2_ABSENT) & MEZZ_EPT_ADDRESS),
             0x1235);
    kit_close(&guest);
}

/* Where the access needs the root, the instruction cannot be run; where it does not, it runs. Of
 * ring 3 only: some KVMs emulate ring 0 whatever the page is. */
static void check_unknown(const struct unknown_case *c, uint64_t rights)
{
    const bool runs = rights & X && rights & c->access;

    open_page(KIT_USER, c->code, rights);
    guest.vmcs->system.guest_cr4 |= CR4_SSE;
    if (CHECK_EQ("exit", kit_exit_or_spin(&guest),
                 runs ? MEZZ_EXIT_PREEMPTION_TIMER : MEZZ_EXIT_EMULATION_FAILURE) &&
        !runs) {
        CHECK_EQ("flags", guest.vmcs->exit.flags, 0);
        CHECK_EQ("no guest-physical address", guest.vmcs->exit.guest_physical_address, 0);
    }
    kit_close(&guest);
}

static void unknown_instructions(void)
{
    for (unsigned int i = 0; i < sizeof(unknown_cases) / sizeof(unknown_cases[0]); i++) {
        KIT_LABEL(unknown_cases[i].label);
        check_unknown(&unknown_cases[i], R | W | X);
        check_unknown(&unknown_cases[i], R | X);
        check_unknown(&unknown_cases[i], R | W);
    }
}

/* The rights of all levels together; those of an upper level were RWX so far. */
static void upper_levels(void)
{
    uint64_t *pdpt, *directory;

    KIT_LABEL("R-X above RWX");
    open_page(KIT_LONG, rights_write, R | W | X);
    pdpt = kit_at(guest.pml4[0] & MEZZ_EPT_ADDRESS);
    directory = kit_at(pdpt[0] & MEZZ_EPT_ADDRESS);
    directory[KIT_L2_ABSENT >> 21] &= ~W;
    CHECK_EQ("a write exits", kit_exit_or_spin(&guest), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("qualification", guest.vmcs->exit.qualification, W | (R | X) << 3);
    kit_close(&guest);
}

static void large_leaf(void)
{
    uint64_t size = 2ULL << 20;
    uint64_t *large, *pdpt, *directory;

    KIT_LABEL("leaf of 2 MiB");
    kit.memory = (kit.memory + size - 1) & ~(size - 1);
    large = kit_pages(512);
    large[0x2000 / 8] = 0x1234;
    kit_open(&guest, KIT_LONG, rights_read);
    pdpt = kit_at(guest.pml4[0] & MEZZ_EPT_ADDRESS);
    directory = kit_at(pdpt[0] & MEZZ_EPT_ADDRESS);
    directory[KIT_L2_DATA >> 21] = kit_address(large) | KIT_LEAF | MEZZ_EPT_LEAF;
    kit_use_timer(&guest, 2000);
    CHECK_EQ("no exit", kit_exit_or_spin(&guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("RAX", guest.vmcs->regs.gpr[MEZZ_RAX], 0x1234);
    kit_close(&guest);
}

/* An EPT12 that the root refuses is an entry failure that says why. */
static void refused(const char *label, uint64_t leaf, enum mezz_error error)
{
    KIT_LABEL(label);
    open_page(KIT_LONG, rights_read, R);
    *kit_ept_leaf(guest.pml4, KIT_L2_ABSENT) = leaf;
    CHECK_EQ("exit", kit_exit(&guest), MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED);
    CHECK_EQ("qualification", guest.vmcs->exit.qualification,
             (uint64_t)error << 32 | MEZZ_CHECK_EPT);
    *kit_ept_leaf(guest.pml4, KIT_L2_ABSENT) = 0;
    CHECK_EQ("mended, it runs", kit_exit_past_timer(&guest), MEZZ_EXIT_EPT_VIOLATION);
    kit_close(&guest);
}

void group_rights(void)
{
    uint64_t page = kit_address(kit_pages(1)) | MEZZ_EPT_WRITE_BACK;

    matrix(KIT_LONG);
    matrix(KIT_USER);
    unknown_instructions();
    upper_levels();
    large_leaf();
    refused("-W-", page | W, MEZZ_E_EPT_ACCESS);
    refused("-WX", page | W | X, MEZZ_E_EPT_ACCESS);
    refused("--X", page | X, MEZZ_E_UNSUPPORTED);
    refused("memory type", (page & ~MEZZ_EPT_MEMORY_TYPE) | R, MEZZ_E_EPT_FORMAT);
    refused("a page outside of L1's memory", kit.memory_end | MEZZ_EPT_WRITE_BACK | R,
            MEZZ_E_EPT_ADDRESS);
    refused("a page far outside", (MEZZ_EPT_ADDRESS & ~0xfffULL) | MEZZ_EPT_WRITE_BACK | R,
            MEZZ_E_EPT_ADDRESS);
}
