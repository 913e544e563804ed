/* SPDX-License-Identifier: Apache-2.0 */
#include "input.h"

#include <errno.h>
#include <stdbool.h>

#include "host/memory.h"
#include "mezz/calls.h"
#include "mezz/gate.h"

static struct {
    const uint8_t *at;
    size_t left;
} input;

void input_begin(const uint8_t *data, size_t size)
{
    input.at = data;
    input.left = size;
}

size_t input_left(void)
{
    return input.left;
}

uint8_t take(void)
{
    if (input.left == 0)
        return 0;
    input.left--;
    return *input.at++;
}

uint64_t take_bytes(unsigned int count)
{
    uint64_t value = 0;

    for (unsigned int i = 0; i < count; i++)
        value |= (uint64_t)take() << 8 * i;
    return value;
}

uint64_t page_address(unsigned int page)
{
    return (FIRST_PAGE + page % PAGES) * PAGE_SIZE;
}

/* A number as calls take it: small, a page, odd, or anything. */
uint64_t take_number(void)
{
    static const uint64_t odd[] = {UINT64_MAX,
                                   1ULL << 63,
                                   0xfffffffffffff000ULL,
                                   L1_MEMORY,
                                   L1_MEMORY - 8,
                                   L1_MEMORY - PAGE_SIZE,
                                   512,
                                   511,
                                   MEZZ_GATE_ADDRESS,
                                   1ULL << 52,
                                   0x7fffffffffffULL,
                                   0x800000000000ULL};
    uint8_t kind = take();

    switch (kind % 8) {
    case 0:
    case 1:
    case 2:
        return kind / 8;
    case 3:
    case 4:
        return page_address(kind / 8);
    case 5:
        return page_address(kind / 8) + take();
    case 6:
        return odd[kind / 8 % (sizeof(odd) / sizeof(odd[0]))];
    default:
        return take_bytes(1 + kind / 8 % 8);
    }
}

static void port_exit(struct kvm_run *run, bool in, uint16_t port, uint8_t size, uint32_t count)
{
    run->exit_reason = KVM_EXIT_IO;
    run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
    run->io.port = port;
    run->io.size = size;
    run->io.count = count;
    run->io.data_offset = sizeof(*run);
}

int call(struct kvm_run *run, uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx)
{
    run->s.regs.regs.rax = number;
    run->s.regs.regs.rdi = rdi;
    run->s.regs.regs.rsi = rsi;
    run->s.regs.regs.rdx = rdx;
    port_exit(run, false, MEZZ_CALL_PORT, 1, 1);
    return 0;
}

int any_call(struct kvm_run *run, unsigned int numbers)
{
    const uint64_t number = take() % numbers;
    const uint64_t rdi = take_number();
    const uint64_t rsi = take_number();

    return call(run, number, rdi, rsi, take_number());
}

int any_exit(struct kvm_run *run)
{
    static const uint8_t sizes[] = {1, 2, 4, 8};
    uint8_t kind = take();
    uint8_t *data = (uint8_t *)run + sizeof(*run);
    uint16_t port;
    uint64_t page;

    switch (kind % 12) {
    case 0:
    case 1:
        port = take() % 4 != 0 ? 0x3f8 : (uint16_t)take_bytes(2);
        port_exit(run, kind & 16, port, sizes[kind / 32 % 3], kind & 128 ? 1 + take() % 8U : 1);
        for (unsigned int i = 0; i < 8; i++)
            data[i] = take();
        break;
    case 2:
    case 3:
    case 4:
        run->exit_reason = KVM_EXIT_MMIO;
        page = kind & 64 ? 0 : take_bytes(1) % 80 << 12;
        run->mmio.phys_addr = kind & 64 ? MEZZ_GATE_ADDRESS + (take() & 0x87U) : page + take();
        run->mmio.len = sizes[kind / 16 % 4];
        run->mmio.is_write = kind >= 128;
        for (unsigned int i = 0; i < 8; i++)
            run->mmio.data[i] = take();
        break;
    case 5:
        run->exit_reason = KVM_EXIT_HLT;
        break;
    case 6:
        run->exit_reason = kind & 16 ? KVM_EXIT_X86_RDMSR : KVM_EXIT_X86_WRMSR;
        run->msr.index = kind & 32 ? 0xc0000080U + take() % 8 : (uint32_t)take_bytes(4);
        run->msr.data = take_number();
        break;
    case 7:
        run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
        run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
        run->emulation_failure.ndata = 3;
        run->emulation_failure.flags = 1;
        run->emulation_failure.insn_size = take() % 16;
        for (unsigned int i = 0; i < 15; i++)
            run->emulation_failure.insn_bytes[i] = i < 4 ? take() : 0x90;
        break;
    case 8:
        run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
        break;
    case 9:
        run->exit_reason = kind & 64 ? KVM_EXIT_SHUTDOWN : KVM_EXIT_FAIL_ENTRY;
        break;
    case 10:
        /* None that says something by what is in the page. */
        run->exit_reason = 20 + take() % 9U;
        break;
    default:
        return kind & 128 ? EINTR : kind & 64 ? EINVAL : ENOSPC;
    }
    return 0;
}
