/* SPDX-License-Identifier: Apache-2.0 */
#include "archive.h"
#include "host.h"
#include "l1.h"
#include "layout.h"
#include "lib/machine.h"
#include "lib/say.h"
#include "mezz/layout.h"
#include "mezz/pvh.h"
#include "personality.h"

#define CPUID_FEATURES       1
#define CPUID_ECX_HYPERVISOR (1U << 31)

static struct l1 l1;

_Noreturn void l1_main(const struct mezz_pvh_start_info *info);

static bool root_is_beneath(void)
{
    struct cpuid_result id = cpuid(MEZZ_CPUID_SIGNATURE);

    return cpuid(CPUID_FEATURES).ecx & CPUID_ECX_HYPERVISOR && id.ebx == MEZZ_SIGNATURE_EBX &&
           id.ecx == MEZZ_SIGNATURE_ECX && id.edx == MEZZ_SIGNATURE_EDX &&
           id.eax >= MEZZ_CPUID_INTERFACE;
}

static void find_root(void)
{
    struct cpuid_result id = cpuid(MEZZ_CPUID_INTERFACE);

    if (id.eax != MEZZ_ABI_VERSION) {
        say("the root speaks version %u of the interface, this L1 wants version %u", id.eax,
            MEZZ_ABI_VERSION);
        stop(L1_STATUS_VERSION);
    }
    say_to_root();
    l1.host = &host_root;
    l1.features = id.ebx;
}

/* Without a root L1 is an ordinary hypervisor, if it was given guests and the processor lets it. */
static void do_without_root(const struct mezz_pvh_start_info *info)
{
    const char *missing;

    if (info->magic != MEZZ_PVH_START_MAGIC || !info->nr_modules) {
        say("no root hypervisor is present; this is an L1, start it with mezz");
        stop(L1_STATUS_NO_ROOT);
    }
    missing = host_svm_start();
    if (missing) {
        say("no root hypervisor is present, and %s; start this L1 with mezz", missing);
        stop(L1_STATUS_NO_ROOT);
    }
    l1.host = &host_svm;
    l1.features = 0;
}

static void read_config(const struct mezz_pvh_start_info *info)
{
    static struct mezz_pvh_start_info unpacked;

    if (info->magic != MEZZ_PVH_START_MAGIC || info->version < MEZZ_PVH_START_VERSION) {
        say("the start info is not one of PVH version %u", MEZZ_PVH_START_VERSION);
        stop(L1_STATUS_BAD_INPUT);
    }
    if (!config_arena(&l1.arena, info)) {
        say("the memory map has no memory where this image lies");
        stop(L1_STATUS_BAD_INPUT);
    }
    info = archive_unpack(&l1.arena, info, &unpacked);
    if (!info || !config_read(&l1.config, info))
        stop(L1_STATUS_BAD_INPUT);
    if (!l1.config.personality)
        l1.config.personality = personality_default(l1.features);
    if (l1.config.personality->features & ~l1.features || l1.config.ept & ~l1.host->ept ||
        (l1.config.views && !(l1.features & MEZZ_FEATURE_VIEWS))) {
        say("%s has not what exits=%s%s%s needs",
            l1.host == &host_root ? "this root" : "a machine without a root",
            l1.config.personality->name, l1.config.ept ? " with ept=" : "",
            l1.config.views ? " with views=" : "");
        stop(L1_STATUS_VERSION);
    }
}

/* On each processor. The one whose guest is the last to end, ends the machine. */
static _Noreturn void run(struct cpu *cpu)
{
    schedule(cpu);
    for (unsigned int i = 0; i < l1.cpu_count && l1.cpu_count > 1; i++)
        say("processor %u: %u entries", i, l1.cpu[i].entries);
    stop(l1.failed ? L1_STATUS_GUEST : L1_STATUS_OK);
}

_Noreturn void l1_main(const struct mezz_pvh_start_info *info)
{
    if (root_is_beneath())
        find_root();
    else
        do_without_root(info);
    read_config(info);
    say("%s; guests: %u, exits=%s", l1.host->found, l1.config.guest_count,
        l1.config.personality->name);
    for (unsigned int i = 0; i < l1.config.guest_count; i++)
        if (!guest_create(&l1, &l1.config.guest[i]))
            l1_fail(&l1);
    cpus_start(&l1, run);
    run(&l1.cpu[0]);
}
