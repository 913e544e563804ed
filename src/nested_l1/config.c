/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "lib/machine.h"
#include "lib/say.h"
#include "lib/text.h"
#include "personality.h"

#define DEFAULT_SLICE_US 2000
#define MAX_SLICE_US     10000000
#define MICROSECOND      1000ULL

extern const char image_end[];

static bool read_word(struct config *config, struct text word)
{
    struct text value;

    if (text_skip(word, TEXT("exits="), &value)) {
        config->personality = personality_find(value);
        if (!config->personality)
            say("command line: exits= wants one of callback, observe, root, reflect, classic");
        return config->personality;
    }
    if (text_skip(word, TEXT("slice="), &value)) {
        uint64_t slice;

        if (text_number(value, &slice) && slice > 0 && slice <= MAX_SLICE_US) {
            config->slice = slice * MICROSECOND;
            return true;
        }
        say("command line: slice= wants microseconds, 1 to %u", MAX_SLICE_US);
        return false;
    }
    if (text_skip(word, TEXT("ept="), &value)) {
        bool dirty = text_equal(value, TEXT("dirty"));

        if (dirty || text_equal(value, TEXT("cow"))) {
            config->ept |= dirty ? CONFIG_EPT_DIRTY : CONFIG_EPT_COW;
            return true;
        }
        say("command line: ept= wants dirty or cow");
        return false;
    }
    if (text_skip(word, TEXT("portions="), &value)) {
        bool allow = text_equal(value, TEXT("allow"));

        if (allow || text_equal(value, TEXT("refuse"))) {
            config->portions = allow ? CONFIG_PORTIONS_ALLOW : CONFIG_PORTIONS_REFUSE;
            return true;
        }
        say("command line: portions= wants allow or refuse");
        return false;
    }
    if (text_skip(word, TEXT("guard="), &value)) {
        config->guard = text_equal(value, TEXT("observe"))  ? CONFIG_GUARD_OBSERVE
                        : text_equal(value, TEXT("allow"))  ? CONFIG_GUARD_ALLOW
                        : text_equal(value, TEXT("refuse")) ? CONFIG_GUARD_REFUSE
                                                            : 0;
        if (config->guard)
            return true;
        say("command line: guard= wants observe, allow or refuse");
        return false;
    }
    if (text_skip(word, TEXT("views="), &value)) {
        config->views = text_equal(value, TEXT("turn"));
        if (!config->views)
            say("command line: views= wants turn");
        return config->views;
    }
    say("command line: unknown word '%.*s'", (int)word.length, word.start);
    return false;
}

static bool read_command_line(struct config *config, const char *line)
{
    struct text rest = text_of(line);
    struct text word;

    while (text_word(&rest, &word))
        if (!read_word(config, word))
            return false;
    if (config->views && config->ept) {
        say("command line: views= and ept= do not go together");
        return false;
    }
    return true;
}

static bool same_name(const struct guest_config *guest, struct text name)
{
    return text_equal(text_of(guest->name), name);
}

static const char *add_guest(struct config *config, const struct mezz_pvh_module *module,
                             struct text name, struct text rest)
{
    struct guest_config *guest = &config->guest[config->guest_count];
    struct text word, value;

    if (config->guest_count == CONFIG_GUESTS)
        return "there are too many guests";
    for (unsigned int i = 0; i < config->guest_count; i++)
        if (same_name(&config->guest[i], name))
            return "another guest has its name";
    copy_bytes(guest->name, name.start, name.length);
    guest->image = module;
    guest->command_line = "";
    if (!text_word(&rest, &word) || !text_skip(word, TEXT("memory="), &value) ||
        !text_number(value, &guest->memory) || !guest->memory || guest->memory % MEZZ_PAGE_SIZE)
        return "memory= is missing or is not a number of whole pages";
    if (rest.length) {
        if (!text_skip(rest, TEXT("cmdline="), &value))
            return "an image has nothing but memory= and cmdline=";
        guest->command_line = value.start;
    }
    config->guest_count++;
    return NULL;
}

static const char *add_module(struct config *config, const struct mezz_pvh_module *module,
                              struct text name, struct text command_line)
{
    struct guest_config *guest = config->guest + config->guest_count;

    if (!config->guest_count || !same_name(--guest, name))
        return "a guest's modules have to follow its image";
    if (guest->module_count == CONFIG_GUEST_MODULES)
        return "its guest has too many modules";
    guest->module[guest->module_count++] =
        (struct guest_module){.file = module, .command_line = command_line.start};
    return NULL;
}

static const char *read_module(struct config *config, const struct mezz_pvh_module *module)
{
    struct text rest = text_of(pointer_at(module->cmdline_paddr));
    struct text name, word;

    if (!module->cmdline_paddr || !text_skip(rest, TEXT("l2="), &rest) || !text_word(&rest, &name))
        return "it does not start with l2=NAME";
    if (!name.length || name.length >= MEZZ_NAME_SIZE)
        return "the name is empty or too long";
    if (module->paddr % MEZZ_PAGE_SIZE)
        return "it is not on a page of its own";
    if (text_skip(rest, TEXT("module="), &word))
        return add_module(config, module, name, word);
    if (!text_word(&rest, &word) || !text_equal(word, TEXT("image")))
        return "it is neither image nor module=";
    return add_guest(config, module, name, rest);
}

bool config_read(struct config *config, const struct mezz_pvh_start_info *info)
{
    const struct mezz_pvh_module *module = pointer_at(info->modlist_paddr);

    config->slice = DEFAULT_SLICE_US * MICROSECOND;
    if (info->cmdline_paddr && !read_command_line(config, pointer_at(info->cmdline_paddr)))
        return false;
    for (uint32_t i = 0; i < info->nr_modules; i++) {
        const char *wrong = read_module(config, &module[i]);

        if (wrong) {
            say("module %u ('%s'): %s", i,
                module[i].cmdline_paddr ? (const char *)pointer_at(module[i].cmdline_paddr) : "",
                wrong);
            return false;
        }
    }
    return true;
}

/* Where L1 may put things of its own: behind its image up to the first thing that lies there, or
 * behind the last one. */
struct room {
    uint64_t image_end;
    uint64_t first;
    uint64_t last;
};

static void in_use(struct room *room, uint64_t address, uint64_t size)
{
    if (!size || address + size <= room->image_end)
        return;
    if (address < room->first)
        room->first = address;
    if (address + size > room->last)
        room->last = address + size;
}

static void string_in_use(struct room *room, uint64_t address)
{
    if (address)
        in_use(room, address, text_of(pointer_at(address)).length + 1);
}

static void look_for_room(struct room *room, const struct mezz_pvh_start_info *info)
{
    const struct mezz_pvh_module *module = pointer_at(info->modlist_paddr);

    in_use(room, address_of(info), sizeof(*info));
    in_use(room, info->modlist_paddr, info->nr_modules * sizeof(*module));
    in_use(room, info->memmap_paddr, info->memmap_entries * sizeof(struct mezz_pvh_memory));
    string_in_use(room, info->cmdline_paddr);
    for (uint32_t i = 0; i < info->nr_modules; i++, module++) {
        in_use(room, module->paddr, module->size);
        string_in_use(room, module->cmdline_paddr);
    }
}

bool config_arena(struct arena *arena, const struct mezz_pvh_start_info *info)
{
    const struct mezz_pvh_memory *memory = pointer_at(info->memmap_paddr);
    struct room room = {.image_end = address_of(image_end), .last = address_of(image_end)};

    for (uint32_t i = 0; i < info->memmap_entries; i++, memory++) {
        uint64_t end = memory->addr + memory->size;

        if (memory->type != MEZZ_PVH_MEMORY_RAM || memory->addr > room.image_end ||
            end <= room.image_end)
            continue;
        room.first = end;
        look_for_room(&room, info);
        if (room.last >= end || room.first - room.image_end >= end - room.last)
            *arena = (struct arena){.next = room.image_end, .end = room.first};
        else
            *arena = (struct arena){.next = room.last, .end = end};
        return true;
    }
    return false;
}
