/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A portion of a program while another vCPU of the L2, in the same address space and in ring 0,
 * wants what is in it. On each engine; and with the protection switched off, when it gets it.
 */
#include <elf.h>
#include <string.h>

#include "hookguard/portions/portions.h"
#include "l1/vault_pair.h"
#include "runner.h"
#include "test_machine.h"
#include "vmm/machine_state.h"
#include "vmm/protect/portions/policy.h"

#define MIB        (1ULL << 20)
#define TIMEOUT_NS (60ULL * 1000000000)

/* The portion's code as the L1 has it, and its key. */
__asm__(".pushsection .rodata\nvault_text:\n" VAULT_TEXT "vault_text_end:\n.popsection");
extern const uint8_t vault_text[], vault_text_end[];

static struct {
    Elf64_Ehdr header;
    Elf64_Phdr segment[2];
    uint8_t code[PAGE_SIZE];
    uint64_t key[PAGE_SIZE / sizeof(uint64_t)];
} program;

static void make_segment(Elf64_Phdr *segment, uint32_t flags, uint64_t address, uint64_t offset)
{
    *segment = (Elf64_Phdr){.p_type = PT_LOAD,
                            .p_flags = flags,
                            .p_offset = offset,
                            .p_vaddr = address,
                            .p_filesz = PAGE_SIZE,
                            .p_memsz = PAGE_SIZE,
                            .p_align = 1};
}

static void make_program(void)
{
    memcpy(program.header.e_ident, ELFMAG, SELFMAG);
    program.header.e_ident[EI_CLASS] = ELFCLASS64;
    program.header.e_ident[EI_DATA] = ELFDATA2LSB;
    program.header.e_ident[EI_VERSION] = EV_CURRENT;
    program.header.e_type = ET_EXEC;
    program.header.e_machine = EM_X86_64;
    program.header.e_version = EV_CURRENT;
    program.header.e_phoff = offsetof(__typeof__(program), segment);
    program.header.e_ehsize = sizeof(Elf64_Ehdr);
    program.header.e_phentsize = sizeof(Elf64_Phdr);
    program.header.e_phnum = 2;
    make_segment(&program.segment[0], PF_R | PF_X, VAULT_CODE, offsetof(__typeof__(program), code));
    make_segment(&program.segment[1], PF_R | PF_W, VAULT_KEY, offsetof(__typeof__(program), key));
    memcpy(program.code, vault_text, (size_t)(vault_text_end - vault_text));
    program.key[0] = VAULT_SECRET;
}

static struct portion_table table;
static enum engine_kind engine;

static void declare(uint64_t tolerated)
{
    static const struct address_range ranges[] = {{VAULT_CODE, PAGE_SIZE}, {VAULT_KEY, PAGE_SIZE}};
    static const uint64_t entries[] = {VAULT_CODE};
    const struct portion_declaration declaration = {.program = "vault",
                                                    .name = "vault",
                                                    .parts.range = ranges,
                                                    .parts.ranges = 2,
                                                    .entry_address = entries,
                                                    .entry_addresses = 1,
                                                    .on_refusal = REFUSAL_ERROR,
                                                    .tolerated = tolerated};
    struct error error;

    make_program();
    portion_table_init(&table);
    ck_assert_msg(portion_table_add_program(&table, "vault", &program, sizeof(program), &error) ==
                      0,
                  "%s", error.text);
    ck_assert_msg(portion_table_add(&table, &declaration, &error) == 0, "%s", error.text);
}

/* Before the L2 first runs. */
static void add_policy(struct machine *machine)
{
    machine->l2[0]->engine = engine;
    ck_assert_int_eq(portion_policy_add(machine->l2[0], &table), 0);
}

static struct machine *run_group(const char *group, uint64_t tolerated)
{
    struct machine_config config = {
        .l1_memory = 32 * MIB, .l1_vcpus = 2, .timeout_ns = TIMEOUT_NS, .l1_command_line = group};
    struct machine *machine;

    declare(tolerated);
    machine = test_machine_create(&config, "vault_pair_l1.elf");
    test_machine_run(machine, add_policy);
    test_machine_ended_well(&machine->report, group);
    return machine;
}

static void end(struct machine *machine)
{
    machine_destroy(machine);
    portion_table_destroy(&table);
}

static uint64_t count(const struct machine *machine, enum decision_reason reason)
{
    return machine->l2[0]->record->report.portions.reasons[reason];
}

START_TEST(a_sibling_reads)
{
    struct machine *machine;

    engine = (enum engine_kind)_i;
    machine = run_group("group=kept", 0);
    ck_assert_uint_gt(count(machine, REASON_KERNEL_READ), 0);
    ck_assert_uint_ge(count(machine, REASON_ENTRY), 8);
    end(machine);
    machine = run_group("group=lost", 1ULL << REASON_KERNEL_READ);
    ck_assert_uint_gt(count(machine, REASON_KERNEL_READ), 0);
    end(machine);
}
END_TEST

/* The view is gone while a vCPU is in it. */
START_TEST(a_sibling_unmaps)
{
    struct machine *machine;

    engine = (enum engine_kind)_i;
    machine = run_group("group=unmapped", 0);
    ck_assert_uint_gt(count(machine, REASON_OWNER_GONE), 0);
    end(machine);
}
END_TEST

/* Another vCPU could have written the frame, and the gate by which a fault is a call. */
START_TEST(a_call_beside_a_sibling)
{
    struct machine *machine;

    engine = (enum engine_kind)_i;
    machine = run_group("group=called", 0);
    ck_assert_uint_eq(count(machine, REASON_ENTRY), 1);
    ck_assert_uint_eq(count(machine, REASON_INTERRUPT_FRAME), 1);
    end(machine);
    machine = run_group("group=asked", 0);
    ck_assert_uint_eq(count(machine, REASON_ENTRY), 1);
    ck_assert_uint_eq(count(machine, REASON_INTERRUPT), 1);
    end(machine);
}
END_TEST

/* One vCPU, and a kernel that would be led into the view by the portion's own `syscall` or
 * `sysenter`. */
static const char *const targets[] = {"group=lstar", "group=cstar", "group=sysenter", "group=off"};
#define TARGETS ELEMENTS(targets)

START_TEST(a_kernel_waits_inside)
{
    const char *group = targets[(size_t)_i % TARGETS];
    struct machine *machine;

    engine = (enum engine_kind)((size_t)_i / TARGETS);
    machine = run_group(group, 0);
    if (strcmp(group, "group=off") == 0)
        ck_assert_uint_eq(count(machine, REASON_UNSAFE_SPACE), 0);
    else
        ck_assert_uint_ge(count(machine, REASON_UNSAFE_SPACE), 8);
    ck_assert_uint_eq(count(machine, REASON_ENTRY), 8);
    end(machine);
}
END_TEST

/* The other vCPU is there, and does nothing. */
START_TEST(a_kernel_finds_no_flags)
{
    struct machine *machine;

    engine = (enum engine_kind)_i;
    machine = run_group("group=flags", 0);
    ck_assert_uint_eq(count(machine, REASON_ENTRY), 1);
    ck_assert_uint_eq(count(machine, REASON_INTERRUPT_FRAME), 1);
    end(machine);
}
END_TEST

RUN_CASES_IF(test_machine_obstacle, "portions: siblings", 120, EACH(a_sibling_reads, ENGINE_KINDS),
             EACH(a_sibling_unmaps, ENGINE_KINDS), EACH(a_call_beside_a_sibling, ENGINE_KINDS),
             EACH(a_kernel_waits_inside, TARGETS *ENGINE_KINDS),
             EACH(a_kernel_finds_no_flags, ENGINE_KINDS))
