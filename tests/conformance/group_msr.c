/* SPDX-License-Identifier: Apache-2.0 */
/* MSRs: those that no KVM has, and by the bitmap those that it has. */
#include "groups.h"
#include "kit.h"

#define UNKNOWN        0x12345
#define UNKNOWN_LOW    0x1f37
#define KERNEL_GS_BASE 0xc0000102
#define SYSENTER_ESP   0x175

/* ECX, EDX:EAX come from the registers that L1 sets. */
KIT_CODE_AFTER(msr_read, "rdmsr\n" KIT_AFTER(msr_read) "hlt");
KIT_CODE_AFTER(msr_write, "wrmsr\n" KIT_AFTER(msr_write) "hlt");
KIT_CODE(msr_write_read, "wrmsr\n xorl %eax, %eax\n xorl %edx, %edx\n rdmsr\n hlt");

static struct kit_guest guest;

static void open_msr(const char *code, uint32_t msr, uint64_t value)
{
    kit_open(&guest, KIT_LONG, code);
    guest.vmcs->regs.gpr[MEZZ_RCX] = msr;
    guest.vmcs->regs.gpr[MEZZ_RAX] = (uint32_t)value;
    guest.vmcs->regs.gpr[MEZZ_RDX] = value >> 32;
}

static uint8_t *open_with_bitmap(const char *code, uint32_t msr, uint64_t value)
{
    uint8_t *bitmap = kit_pages(1);

    open_msr(code, msr, value);
    guest.vmcs->controls.cpu_based |= MEZZ_CPU_USE_MSR_BITMAPS;
    guest.vmcs->controls.msr_bitmap = kit_address(bitmap);
    return bitmap;
}

static void set_bit(uint8_t *bitmap, uint32_t msr, bool write)
{
    uint32_t bit = (write ? 0x4000U : 0) + (msr >= 0xc0000000 ? 0x2000U : 0) + (msr & 0x1fff);

    bitmap[bit / 8] |= (uint8_t)(1U << bit % 8);
}

static void check_exit(uint32_t reason, uint32_t msr, uint64_t value, const char *at)
{
    const struct mezz_vmcs12_exit *exit = &guest.vmcs->exit;

    CHECK_EQ("exit", kit_exit(&guest), reason);
    CHECK_EQ("msr", exit->msr, msr);
    CHECK_EQ("value", exit->value, value);
    CHECK_EQ("flags", exit->flags, MEZZ_EXIT_PENDING);
    CHECK_EQ("qualification", exit->qualification, 0);
    CHECK_EQ("guest_rip", guest.vmcs->regs.guest_rip, kit_address(at));
}

static void check_fault(void)
{
    CHECK_EQ("L2's handler runs", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("for #GP", guest.vmcs->regs.gpr[MEZZ_RBX], 13);
    CHECK_EQ("with code 0", guest.vmcs->regs.gpr[MEZZ_RCX], 0);
}

static void unknown(void)
{
    KIT_LABEL("RDMSR of an unknown one");
    open_msr(msr_read, UNKNOWN, 0);
    check_exit(MEZZ_EXIT_RDMSR, UNKNOWN, 0, msr_read);
    guest.vmcs->completion.value = 0x1122334455667788;
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("RAX", guest.vmcs->regs.gpr[MEZZ_RAX], 0x55667788);
    CHECK_EQ("RDX", guest.vmcs->regs.gpr[MEZZ_RDX], 0x11223344);
    CHECK_EQ("RIP", guest.vmcs->regs.guest_rip, kit_address(msr_read_after) + 1);
    kit_close(&guest);
    KIT_LABEL("WRMSR of an unknown one");
    open_msr(msr_write, UNKNOWN, 0x8877665544332211);
    check_exit(MEZZ_EXIT_WRMSR, UNKNOWN, 0x8877665544332211, msr_write);
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("RIP", guest.vmcs->regs.guest_rip, kit_address(msr_write_after) + 1);
    kit_close(&guest);
    KIT_LABEL("RDMSR that faults");
    open_msr(msr_read, UNKNOWN, 0);
    CHECK_EQ("exit", kit_exit(&guest), MEZZ_EXIT_RDMSR);
    guest.vmcs->completion.flags = MEZZ_COMPLETION_FAULT;
    check_fault();
    kit_close(&guest);
    KIT_LABEL("WRMSR that faults");
    open_msr(msr_write, UNKNOWN, 0);
    CHECK_EQ("exit", kit_exit(&guest), MEZZ_EXIT_WRMSR);
    guest.vmcs->completion.flags = MEZZ_COMPLETION_FAULT;
    check_fault();
    kit_close(&guest);
    KIT_LABEL("an unknown one beyond the bitmap");
    open_with_bitmap(msr_read, UNKNOWN, 0);
    CHECK_EQ("exits always", kit_exit(&guest), MEZZ_EXIT_RDMSR);
    kit_close(&guest);
    KIT_LABEL("an unknown one whose bit is clear");
    open_with_bitmap(msr_read, UNKNOWN_LOW, 0);
    check_fault();
    kit_close(&guest);
    KIT_LABEL("an unknown one whose bit is set");
    set_bit(open_with_bitmap(msr_read, UNKNOWN_LOW, 0), UNKNOWN_LOW, false);
    CHECK_EQ("exits", kit_exit(&guest), MEZZ_EXIT_RDMSR);
    kit_close(&guest);
}

static void known(uint32_t msr, const char *read_label, const char *write_label,
                  const char *none_label)
{
    uint8_t *bitmap;

    KIT_LABEL(none_label);
    bitmap = open_with_bitmap(msr_write_read, msr, 0x7654);
    CHECK_EQ("no exit", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("written and read by L2", guest.vmcs->regs.gpr[MEZZ_RAX], 0x7654);
    kit_close(&guest);
    KIT_LABEL(read_label);
    bitmap = open_with_bitmap(msr_write_read, msr, 0x7654);
    set_bit(bitmap, msr, false);
    CHECK_EQ("exit", kit_exit(&guest), MEZZ_EXIT_RDMSR);
    CHECK_EQ("msr", guest.vmcs->exit.msr, msr);
    guest.vmcs->completion.value = 0x99;
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("L1's value", guest.vmcs->regs.gpr[MEZZ_RAX], 0x99);
    kit_close(&guest);
    KIT_LABEL(write_label);
    bitmap = open_with_bitmap(msr_write_read, msr, 0x7654);
    set_bit(bitmap, msr, true);
    check_exit(MEZZ_EXIT_WRMSR, msr, 0x7654, msr_write_read);
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("it was not written", guest.vmcs->regs.gpr[MEZZ_RAX], 0);
    kit_close(&guest);
}

/* Those by which KVM serves its guests, and Hyper-V's: some name a page that KVM then writes. */
static const uint32_t host_msrs[] = {
    0x11,       0x12,       0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04,
    0x4b564d05, 0x4b564d06, 0x4b564d07, 0x4b564d08, 0x4b564dff, 0x40000000, 0x40000001,
    0x40000020, 0x40000021, 0x40000073, 0x40000083, 0x40000118, 0x400001ff,
};
#define HOST_MSRS (sizeof(host_msrs) / sizeof(host_msrs[0]))

/* An L2 has none of them: they are as unknown as any other. */
static void of_the_host(void)
{
    for (unsigned int i = 0; i < HOST_MSRS; i++) {
        const uint32_t msr = host_msrs[i];

        KIT_LABEL("RDMSR of one of the host's");
        open_msr(msr_read, msr, 0);
        check_exit(MEZZ_EXIT_RDMSR, msr, 0, msr_read);
        guest.vmcs->completion.flags = MEZZ_COMPLETION_FAULT;
        check_fault();
        kit_close(&guest);
        KIT_LABEL("WRMSR of one of the host's");
        open_msr(msr_write, msr, 0x1001);
        check_exit(MEZZ_EXIT_WRMSR, msr, 0x1001, msr_write);
        guest.vmcs->completion.flags = MEZZ_COMPLETION_FAULT;
        check_fault();
        kit_close(&guest);
        KIT_LABEL("one of the host's, with a bitmap without bits");
        open_with_bitmap(msr_write, msr, 0x1001);
        if (msr < 0x2000)
            check_fault();
        else
            check_exit(MEZZ_EXIT_WRMSR, msr, 0x1001, msr_write);
        kit_close(&guest);
    }
}

void group_msr(void)
{
    unknown();
    of_the_host();
    known(KERNEL_GS_BASE, "a read of KERNEL_GS_BASE", "a write of KERNEL_GS_BASE",
          "KERNEL_GS_BASE without bits");
    known(SYSENTER_ESP, "a read of SYSENTER_ESP", "a write of SYSENTER_ESP",
          "SYSENTER_ESP without bits");
}
