/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdlib.h>

#include "mezz/abi.h"
#include "vmm/cli/info.h"
#include "vmm/cli/json_lines.h"

/* What the probe's answer means to somebody who runs stacks here. */
static const char *const meanings[] = {
    [PAGING_UNKNOWN] =
        "  Neither answer could be had. Stacks run; what depends on the answer takes\n"
        "  the slower and safer way.\n",
    [PAGING_HARDWARE] =
        "  The processor walks the guests' own tables (EPT or NPT). Guests change their\n"
        "  mappings at full speed, and a change is seen from everywhere once the TLB is\n"
        "  flushed: memory views may each have a VM of their own.\n",
    [PAGING_SHADOW] =
        "  KVM keeps copies of the guests' tables (no EPT or NPT here, or not for us). A\n"
        "  guest that changes its mappings, or runs much code for the first time, is slower\n"
        "  than elsewhere. A change that another VM or the root makes is not seen until KVM\n"
        "  is made to look again, and every switch of a memory view has to see to that.\n",
};

static void print_paging(FILE *out, const struct info *info)
{
    const struct host_paging *paging = &info->host.paging;

    fprintf(out, "page tables: %s (found out by a probe)\n%s", paging_name(paging->kind),
            meanings[paging->kind]);
    if (paging->kind == PAGING_SHADOW)
        fprintf(out,
                "  KVM looks again after a memory slot came and went: %s; after the page was\n"
                "  mapped anew: %s.\n",
                paging->slot_cures ? "yes" : "no", paging->remap_cures ? "yes" : "no");
    if (paging->kind == PAGING_UNKNOWN)
        fprintf(out, "  %s\n", info->probe_error.text);
}

static void print_engine(FILE *out, const struct info *info)
{
    const struct host_traits *host = &info->host;
    const char *why;
    enum engine_kind engine = engine_choose(host, &why);

    fprintf(out, "memory views: engine %s: %s\n", engine_name(engine), why);
    fprintf(
        out,
        "  dirty ring: %s; each write of a guest's ring 0 is in it: %s; a vCPU's TLB is\n"
        "  emptied on request: %s; a VM has two sides: %s; a single step that exits leaves its\n"
        "  exception behind: %s. A stack may force flip, remap or slots.\n",
        host->ring_entries != 0 ? "yes" : "no", host->logs_each_write ? "yes" : "no",
        host->flushes_on_request ? "yes" : "no", host->two_sides ? "yes" : "no",
        host->leaves_steps ? "yes" : "no");
}

static void print_cage(FILE *out, const struct info *info)
{
    fprintf(out, "cage of a run: no capabilities, no_new_privs, system calls %s, ",
            info->cage.filters ? "filtered" : "NOT filtered (this kernel cannot: --no-cage)");
    if (info->cage.landlock_abi != 0)
        fprintf(out, "Landlock (ABI %u)\n", info->cage.landlock_abi);
    else
        fprintf(out, "no Landlock (this kernel has none, or it is switched off)\n");
}

static void print_capabilities(FILE *out, const struct info *info)
{
    fprintf(out, "\n%-27s%10s  %s\n", "capability", "", "what it is good for");
    for (const struct info_capability *c = info_capabilities; c->name != NULL; c++) {
        int value = info_capability_value(&info->kvm, c);

        if (c->bits == 0 && value != 0)
            fprintf(out, "%-27s%10d  %s%s\n", c->name, value, c->needed ? "needed: " : "",
                    c->purpose);
        else
            fprintf(out, "%-27s%10s  %s%s\n", c->name, value ? "yes" : "no",
                    c->needed ? "needed: " : "", c->purpose);
    }
}

void info_print(FILE *out, const struct info *info)
{
    fprintf(out, "mezz %s, ABI version %u\n", MEZZ_PROGRAM_VERSION, MEZZ_ABI_VERSION);
    if (!info->has_kvm) {
        fprintf(out, "KVM: none that can be used at %s, Linux %s\n", info->device, info->kernel);
        print_cage(out, info);
        return;
    }
    fprintf(out, "KVM: %s at %s, API version %d, Linux %s\n", info_kvm_name(), info->device,
            info->api_version, info->kernel);
    print_paging(out, info);
    print_engine(out, info);
    print_cage(out, info);
    print_capabilities(out, info);
}

/* NULL: no memory. */
static json_t *kvm_json(const struct info *info)
{
    json_t *capabilities = json_object();
    const char *why;
    const char *engine = engine_name(engine_choose(&info->host, &why));
    bool lost = false;

    for (const struct info_capability *c = info_capabilities; c->name != NULL; c++) {
        int value = info_capability_value(&info->kvm, c);

        if (json_object_set_new(capabilities, c->name,
                                c->bits == 0 ? json_integer(value) : json_boolean(value)) != 0)
            lost = true;
    }
    if (lost) {
        json_decref(capabilities);
        return NULL;
    }
    return json_pack(
        "{s:s, s:i, s:{s:s, s:b, s:b}, s:{s:s, s:s, s:b, s:b, s:b, s:b, s:b}, s:o}", "kvm",
        info_kvm_name(), "api_version", info->api_version, "paging", "kind",
        paging_name(info->host.paging.kind), "slot_cures", info->host.paging.slot_cures,
        "remap_cures", info->host.paging.remap_cures, "views", "engine", engine, "why", why,
        "dirty_ring", info->host.ring_entries != 0, "logs_each_write", info->host.logs_each_write,
        "flushes_on_request", info->host.flushes_on_request, "two_sides", info->host.two_sides,
        "leaves_steps", info->host.leaves_steps, "capabilities", capabilities);
}

char *info_json(const struct info *info)
{
    json_t *object = json_pack("{s:s, s:i, s:n, s:s, s:s, s:{s:b, s:i}}", "mezz",
                               MEZZ_PROGRAM_VERSION, "abi", (int)MEZZ_ABI_VERSION, "kvm", "device",
                               info->device, "kernel", info->kernel, "cage", "filters",
                               info->cage.filters, "landlock_abi", (int)info->cage.landlock_abi);
    json_t *more =
        info->has_kvm ? kvm_json(info) : json_pack("{s:s}", "error", info->kvm_error.text);
    char *text = NULL;

    if (json_object_update(object, more) == 0)
        text = json_lines(object);
    json_decref(object);
    json_decref(more);
    return text;
}
