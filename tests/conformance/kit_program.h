/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KIT_PROGRAM_H
#define KIT_PROGRAM_H

/* The program around the groups. */

#include "kit_check.h"
#include "kit_guest.h"

struct kit_group {
    const char *name; /* NULL: the end of kit_groups[] */
    void (*run)(void);
    bool special; /* only if the command line names it */
};

extern const struct kit_group kit_groups[];
extern struct kit_trap *kit_user_end;
extern uint64_t kit_gdt[];
extern uint8_t kit_tss[];

void kit_main(const struct mezz_pvh_start_info *start_info);
void kit_exception(struct kit_trap *trap, uint64_t cr2);
/* Runs ring 3 until its first exception, which `end` then tells; end->rax is RAX at the start. */
void kit_user(const void *rip, void *rsp, uint64_t rflags, struct kit_trap *end);
_Noreturn void kit_user_leave(void);

static inline bool kit_same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static inline _Noreturn void kit_end(void)
{
    struct kit_line line;

    line.length = 0;
    kit_put(&line, "DONE passed ");
    kit_put_hex(&line, kit.passed);
    kit_put(&line, ", failed ");
    kit_put_hex(&line, kit.failed);
    kit_show(&line);
    mezz_call(MEZZ_CALL_EXIT, kit.failed > 255 ? 255 : kit.failed, 0, 0);
    for (;;)
        __asm__ volatile("hlt");
}

static inline void kit_run_group(const struct kit_group *group)
{
    kit.group = group->name;
    kit.label = NULL;
    group->run();
    kit_l2_forget();
}

/* An exception in ring 0 of L1 is a failure; in ring 3 it is the end of kit_user. */
static inline void kit_take_exception(struct kit_trap *trap, uint64_t cr2)
{
    struct kit_line line;

    if (kit_user_end != NULL && trap->cs & 3) {
        *kit_user_end = *trap;
        kit_user_leave();
    }
    if (trap->vector >= 32) {
        kit.interrupts++;
        kit.last_vector = (uint32_t)trap->vector;
        return;
    }
    line.length = 0;
    kit_put_name(&line, false, "exception ");
    kit_put_hex(&line, trap->vector);
    kit_put(&line, " in L1, error code ");
    kit_put_hex(&line, trap->error_code);
    kit_put(&line, ", rip ");
    kit_put_hex(&line, trap->rip);
    kit_put(&line, ", cr2 ");
    kit_put_hex(&line, cr2);
    kit_show(&line);
    kit_end();
}

/* The memory map's entry that holds the image says how much memory L1 has. */
static inline uint64_t kit_memory_size(const struct mezz_pvh_start_info *info)
{
    const struct mezz_pvh_memory *map = kit_at(info->memmap_paddr);

    for (uint32_t i = 0; i < info->memmap_entries; i++)
        if (map[i].type == MEZZ_PVH_MEMORY_RAM && map[i].addr <= KIT_BASE &&
            map[i].addr + map[i].size > KIT_BASE)
            return map[i].addr + map[i].size;
    return 0;
}

/* The start info, which a loader may put behind the image, is not for the kit's pages. */
static inline uint64_t kit_first_page(const struct mezz_pvh_start_info *info)
{
    const uint64_t part[] = {kit_address(kit_image_end), kit_address(info) + sizeof(*info),
                             info->cmdline_paddr + 256, info->memmap_paddr + 4096};
    uint64_t end = 0;

    for (unsigned int i = 0; i < sizeof(part) / sizeof(part[0]); i++)
        if (part[i] > end)
            end = part[i];
    return (end + MEZZ_PAGE_SIZE - 1) & ~(uint64_t)(MEZZ_PAGE_SIZE - 1);
}

static inline void kit_load_task_register(void *stack)
{
    uint64_t base = kit_address(kit_tss);
    uint64_t rsp0 = kit_address(stack);

    kit_copy(kit_tss + 4, &rsp0, sizeof(rsp0));
    kit_gdt[KIT_TSS / 8] = 0x0000890000000067 | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    kit_gdt[KIT_TSS / 8 + 1] = base >> 32;
    __asm__ volatile("ltr %w0" : : "r"(KIT_TSS));
}

static inline void kit_run(const struct mezz_pvh_start_info *info)
{
    const char *line = info->cmdline_paddr != 0 ? kit_at(info->cmdline_paddr) : "";
    const char prefix[] = "group=";
    bool found = false;
    unsigned int n = 0;

    kit.group = "kit";
    kit.start_info = info;
    kit.memory = kit_first_page(info);
    kit.memory_end = kit_memory_size(info);
    kit_load_task_register((uint8_t *)kit_pages(1) + MEZZ_PAGE_SIZE);
    while (prefix[n] != '\0' && line[n] == prefix[n])
        n++;
    for (const struct kit_group *group = kit_groups; group->name != NULL; group++)
        if (prefix[n] == '\0' ? kit_same(line + n, group->name) : !group->special) {
            kit_run_group(group);
            found = true;
        }
    kit.group = "kit";
    kit.label = NULL;
    if (!found)
        CHECK("there is such a group", found);
    kit_end();
}

#define KIT_PROGRAM                                         \
    struct kit kit;                                         \
    void kit_main(const struct mezz_pvh_start_info *info)   \
    {                                                       \
        kit_run(info);                                      \
    }                                                       \
    void kit_exception(struct kit_trap *trap, uint64_t cr2) \
    {                                                       \
        kit_take_exception(trap, cr2);                      \
    }

#endif
