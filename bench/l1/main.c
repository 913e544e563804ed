/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The L1 of `mezz bench`: as little as an L1 can be. Its L2s run two instructions of which one
 * exits; the command line says how that exit is dealt with.
 */
#include "bench_l1.h"
#include "mezz/guest.h"
#include "mezz/pvh.h"

static struct mezz_vmcs12 vmcs[BENCH_MAX_L2] __attribute__((aligned(MEZZ_PAGE_SIZE)));
static uint64_t vcpu[BENCH_MAX_L2];

void bench_main(const struct mezz_pvh_start_info *info);

static void create(unsigned int index, const struct bench_setup *setup, uint64_t eptp)
{
    struct mezz_l2_parameters parameters = {.name = {'l', '2', '-', (char)('a' + index)}};
    int64_t l2 = mezz_call(MEZZ_CALL_L2_CREATE, (uint64_t)&parameters, 0, 0);
    int64_t number;

    if (l2 < 0)
        give_up("L2_CREATE was refused\n");
    guest_fill(&vmcs[index], setup, eptp);
    number = mezz_call(MEZZ_CALL_VCPU_CREATE, (uint64_t)l2, (uint64_t)&vmcs[index], 0);
    if (number < 0)
        give_up("VCPU_CREATE was refused\n");
    vcpu[index] = (uint64_t)number;
    if (setup->path == PATH_GATE)
        guest_add_views((uint64_t)l2, eptp);
    if (setup->path >= PATH_FAILED && setup->path < PATH_REFLECT)
        callback_add((uint64_t)l2, index, setup);
}

static _Noreturn void run_one(uint64_t number)
{
    while (mezz_call(MEZZ_CALL_ENTER, number, 0, 0) == 0)
        ;
    give_up("ENTER was refused\n");
}

static _Noreturn void run_in_turn(unsigned int count)
{
    unsigned int i = 0;

    while (mezz_call(MEZZ_CALL_ENTER, vcpu[i], 0, 0) == 0)
        i = i + 1 == count ? 0 : i + 1;
    give_up("ENTER was refused\n");
}

static _Noreturn void run_classic(uint64_t number)
{
    while (mezz_call(MEZZ_CALL_ENTER, number, 0, 0) == 0)
        classic_exit_and_entry(number);
    give_up("ENTER was refused\n");
}

void bench_main(const struct mezz_pvh_start_info *info)
{
    struct bench_setup setup;
    uint64_t eptp = guest_memory_build();

    setup_parse(&setup, (const char *)info->cmdline_paddr);
    for (unsigned int i = 0; i < setup.l2s; i++)
        create(i, &setup, eptp);
    if (setup.path == PATH_CLASSIC)
        run_classic(vcpu[0]);
    else if (setup.l2s == 1)
        run_one(vcpu[0]);
    else
        run_in_turn(setup.l2s);
}
