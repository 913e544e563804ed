/* SPDX-License-Identifier: Apache-2.0 */
/* What L1 finds at its start: CPUID leaves, version, start info, the ports of its machine. */
#include "groups.h"
#include "kit.h"

static void leaves(void)
{
    uint32_t leaf[4];

    kit_cpuid(1, leaf);
    CHECK("CPUID.1:ECX.HYPERVISOR", leaf[2] >> 31);
    CHECK("no VMX", !(leaf[2] >> 5 & 1));
    kit_cpuid(MEZZ_CPUID_SIGNATURE, leaf);
    CHECK("highest hypervisor leaf", leaf[0] >= MEZZ_CPUID_INTERFACE);
    CHECK_EQ("signature EBX", leaf[1], MEZZ_SIGNATURE_EBX);
    CHECK_EQ("signature ECX", leaf[2], MEZZ_SIGNATURE_ECX);
    CHECK_EQ("signature EDX", leaf[3], MEZZ_SIGNATURE_EDX);
    kit_cpuid(MEZZ_CPUID_INTERFACE, leaf);
    CHECK_EQ("ABI version", leaf[0], MEZZ_ABI_VERSION);
    CHECK("callbacks", leaf[1] & MEZZ_FEATURE_CALLBACKS);
    CHECK("classic arm", leaf[1] & MEZZ_FEATURE_CLASSIC);
    CHECK("number of calls", leaf[2] >= MEZZ_CALL_VMWRITE + 1);
    CHECK_EQ("port of the calls", leaf[3], MEZZ_CALL_PORT);
}

static void start_info(void)
{
    const struct mezz_pvh_start_info *info = kit.start_info;
    const struct mezz_pvh_memory *map = kit_at(info->memmap_paddr);

    CHECK_EQ("start info: magic", info->magic, MEZZ_PVH_START_MAGIC);
    CHECK("start info: version", info->version >= 1);
    CHECK("start info: memory map", info->memmap_entries > 0);
    CHECK("start info: memory of type RAM at 1 MiB", kit.memory_end > KIT_BASE);
    CHECK("start info: the first entry is not empty", map[0].size > 0);
}

static void time_goes_on(void)
{
    uint64_t before = kit_time();
    uint64_t after = kit_time();

    CHECK("time is not negative", (int64_t)before >= 0);
    CHECK("time goes on", after > before);
    CHECK("time is in nanoseconds", after - before < 1000000000);
}

static void registers_are_kept(void)
{
    uint64_t rbx = 0x1111, rcx = 0x2222, rdi = 0x3333, rsi = 0x4444, rdx = 0x5555, r8_after;
    register uint64_t r8 __asm__("r8") = 0x6666;
    int64_t rax = MEZZ_CALL_VERSION;

    __asm__ volatile("stc\n\toutb %%al, %[port]\n\tadcq $0, %%rbx"
                     : "+a"(rax), "+b"(rbx), "+c"(rcx), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r8)
                     : [port] "i"(MEZZ_CALL_PORT)
                     : "memory", "cc");
    r8_after = r8;
    CHECK_EQ("a call's result", rax, MEZZ_ABI_VERSION);
    CHECK_EQ("a call keeps RBX and RFLAGS", rbx, 0x1112);
    CHECK_EQ("a call keeps RCX", rcx, 0x2222);
    CHECK_EQ("a call keeps RDI", rdi, 0x3333);
    CHECK_EQ("a call keeps RSI", rsi, 0x4444);
    CHECK_EQ("a call without a second result keeps RDX", rdx, 0x5555);
    CHECK_EQ("a call keeps R8", r8_after, 0x6666);
}

static uint8_t port_in(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port));
    return value;
}

static void ports(void)
{
    CHECK_EQ("the POST port reads ones", port_in(MEZZ_PORT_POST), 0xff);
    CHECK("the UART can send", port_in(MEZZ_PORT_UART + 5) & 0x20);
}

void group_detect(void)
{
    leaves();
    start_info();
    time_goes_on();
    registers_are_kept();
    ports();
}
