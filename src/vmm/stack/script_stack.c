/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "views/host_traits.h"
#include "vmm/stack/script_lua.h"
#include "vmm/stack/script_units.h"

/* How a machine is described: mezz.stack, stack:l1 and l1:l2. Nothing starts here. */

#define MIB                (1ULL << 20)
#define GIB                (1ULL << 30)
#define MEMORY_GRAIN       (2 * MIB)
#define MACHINE_MEMORY_MAX (1024 * GIB)
#define LEVEL_MEMORY_MAX   (2 * GIB)
#define L1_MEMORY_DEFAULT  (64 * MIB)
#define COMMAND_LINE_MAX   1023U
#define PROGRAMS_MAX       64U
#define FIRMWARE_IMAGE     "firmware.bin"

struct l1_arguments {
    uint64_t memory;
    uint64_t vcpus;
    const char *image;
    const char *command_line;
    bool firmware;
};

struct l2_arguments {
    uint64_t memory;
    const char *name;
    const char *image;
    const char *command_line;
    int programs;
    const char *engine; /* NULL: left out */
};

struct program_arguments {
    const char *image;
    const char *arguments;
};

static const struct script_key stack_keys[] = {
    {"memory", KEY_SIZE, false, MEMORY_GRAIN, MACHINE_MEMORY_MAX, MEMORY_GRAIN, 0},
    {.name = NULL},
};

static const struct script_key l1_keys[] = {
    {"image", KEY_IMAGE, true, .offset = offsetof(struct l1_arguments, image)},
    {"memory", KEY_SIZE, false, MEMORY_GRAIN, LEVEL_MEMORY_MAX, MEMORY_GRAIN,
     offsetof(struct l1_arguments, memory)},
    {"cmdline", KEY_TEXT, false, .max = COMMAND_LINE_MAX,
     .offset = offsetof(struct l1_arguments, command_line)},
    {"firmware", KEY_BOOLEAN, false, .offset = offsetof(struct l1_arguments, firmware)},
    {"vcpus", KEY_COUNT, false, 1, 2, 0, offsetof(struct l1_arguments, vcpus)},
    {.name = NULL},
};

static const struct script_key l2_keys[] = {
    {"name", KEY_WORD, true, .max = MEZZ_NAME_SIZE - 1,
     .offset = offsetof(struct l2_arguments, name)},
    {"image", KEY_IMAGE, true, .offset = offsetof(struct l2_arguments, image)},
    {"memory", KEY_SIZE, true, MEMORY_GRAIN, LEVEL_MEMORY_MAX, MEMORY_GRAIN,
     offsetof(struct l2_arguments, memory)},
    {"cmdline", KEY_TEXT, false, .max = COMMAND_LINE_MAX,
     .offset = offsetof(struct l2_arguments, command_line)},
    {"programs", KEY_LIST, false, .offset = offsetof(struct l2_arguments, programs)},
    {"engine", KEY_WORD, false, .max = 16, .offset = offsetof(struct l2_arguments, engine)},
    {.name = NULL},
};

static const struct script_key program_keys[] = {
    {"image", KEY_IMAGE, true, .offset = offsetof(struct program_arguments, image)},
    {"args", KEY_TEXT, false, .max = COMMAND_LINE_MAX,
     .offset = offsetof(struct program_arguments, arguments)},
    {.name = NULL},
};

int script_new_stack(lua_State *lua)
{
    struct script_stack *stack;
    int anchor;

    lua_settop(lua, 1);
    stack = script_push_object(lua, sizeof(*stack), STACK_TYPE);
    lua_getiuservalue(lua, -1, OBJECT_ANCHOR);
    anchor = lua_gettop(lua);
    if (!lua_isnil(lua, 1))
        script_read_keys(lua, "mezz.stack", stack_keys, 1, anchor, &stack->memory);
    lua_settop(lua, 2);
    return 1;
}

static void check_not_started(lua_State *lua, const struct script_stack *stack, const char *call)
{
    if (stack->started)
        script_error(lua, "%s: this stack has run already; a new mezz.stack runs again", call);
}

struct l2_config *script_check_l2(lua_State *lua, const char *call)
{
    const struct script_l2 *l2 = script_check_self(lua, L2_TYPE, call);
    struct script_l1 *l1;

    lua_getiuservalue(lua, 1, OBJECT_OWNER);
    l1 = lua_touserdata(lua, -1);
    lua_getiuservalue(lua, -1, OBJECT_OWNER);
    check_not_started(lua, lua_touserdata(lua, -1), call);
    lua_pop(lua, 2);
    return &l1->l2[l2->index];
}

/* stack:l1 { ... } */
static int stack_l1(lua_State *lua)
{
    struct script_stack *stack = script_check_self(lua, STACK_TYPE, "stack:l1");
    struct l1_arguments arguments = {.memory = L1_MEMORY_DEFAULT, .vcpus = 1, .firmware = true};
    struct script_l1 *l1;

    check_not_started(lua, stack, "stack:l1");
    lua_settop(lua, 2);
    lua_getiuservalue(lua, 1, OBJECT_PARTS); /* 3 */
    if (lua_rawlen(lua, 3) != 0)
        script_error(lua, "stack:l1: this stack has its L1 already");
    if (stack->memory != 0 && stack->memory < L1_MEMORY_DEFAULT)
        arguments.memory = stack->memory;
    l1 = script_push_object(lua, sizeof(*l1), L1_TYPE); /* 4 */
    lua_getiuservalue(lua, 4, OBJECT_ANCHOR);           /* 5 */
    script_read_keys(lua, "stack:l1", l1_keys, 2, 5, &arguments);
    if (stack->memory != 0 && arguments.memory > stack->memory)
        script_error(lua, "stack:l1: memory: more than the stack has");
    l1->config = (struct machine_config){
        .l1_memory = arguments.memory,
        .l1_image = arguments.image,
        .l1_command_line = arguments.command_line,
        .l1_vcpus = (unsigned int)arguments.vcpus,
    };
    if (arguments.firmware) {
        lua_pushstring(lua, FIRMWARE_IMAGE);
        l1->config.firmware = script_push_image(lua, "stack:l1: firmware", -1);
        script_anchor(lua, 5);
    }
    lua_pushvalue(lua, 1);
    lua_setiuservalue(lua, 4, OBJECT_OWNER);
    lua_settop(lua, 4);
    lua_pushvalue(lua, 4);
    script_anchor(lua, 3);
    return 1;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* "FILE" or "FILE ARGUMENTS", on top of the stack. */
static void read_program_text(lua_State *lua, const char *what, int anchor,
                              struct module_config *module)
{
    const char *text = script_check_text(lua, -1, what, COMMAND_LINE_MAX);
    const char *space = strchr(text, ' ');

    if (space == text)
        script_error(lua, "%s: \"%s\" begins with a space", what, text);
    if (space == NULL)
        lua_pushvalue(lua, -1);
    else
        lua_pushlstring(lua, text, (size_t)(space - text));
    module->path = script_push_image(lua, what, -1);
    script_anchor(lua, anchor);
    module->command_line =
        lua_pushfstring(lua, "%s%s", file_name(lua_tostring(lua, -1)), space == NULL ? "" : space);
    script_anchor(lua, anchor);
}

/* { image = ..., args = ... }, on top of the stack. */
static void read_program_table(lua_State *lua, const char *what, int anchor,
                               struct module_config *module)
{
    struct program_arguments arguments = {.arguments = ""};

    script_read_keys(lua, what, program_keys, lua_gettop(lua), anchor, &arguments);
    module->path = arguments.image;
    module->command_line =
        lua_pushfstring(lua, "%s%s%s", file_name(arguments.image),
                        arguments.arguments[0] == '\0' ? "" : " ", arguments.arguments);
    script_anchor(lua, anchor);
}

static void read_programs(lua_State *lua, int list, int anchor, struct l2_config *l2)
{
    size_t count = lua_rawlen(lua, list);
    struct module_config *modules;
    size_t keys = 0;

    for (lua_pushnil(lua); lua_next(lua, list) != 0; lua_pop(lua, 1))
        keys++;
    if (keys != count)
        script_error(lua,
                     "l1:l2: programs: expected a list such as { \"hello.elf\" }, without keys "
                     "and holes");
    if (count > PROGRAMS_MAX)
        script_error(lua, "l1:l2: programs: %zu programs: at most %u", count, PROGRAMS_MAX);
    modules = lua_newuserdatauv(lua, (count + 1) * sizeof(*modules), 0);
    script_anchor(lua, anchor);
    for (size_t i = 0; i < count; i++) {
        int top = lua_gettop(lua);
        const char *what = lua_pushfstring(lua, "l1:l2: programs[%d]", (int)i + 1);

        if (lua_rawgeti(lua, list, (lua_Integer)i + 1) == LUA_TTABLE)
            read_program_table(lua, what, anchor, &modules[i]);
        else
            read_program_text(lua, what, anchor, &modules[i]);
        lua_settop(lua, top);
    }
    l2->modules = modules;
    l2->module_count = (unsigned int)count;
}

static void check_l2_fits(lua_State *lua, const struct script_l1 *l1,
                          const struct l2_arguments *arguments)
{
    uint64_t used = arguments->memory;
    char l1_memory[32];
    char sum[32];

    if (l1->config.l2_count == MEZZ_MAX_L2)
        script_error(lua, "l1:l2: one more than the %u L2s that a machine holds", MEZZ_MAX_L2);
    for (unsigned int i = 0; i < l1->config.l2_count; i++) {
        if (strcmp(l1->l2[i].name, arguments->name) == 0)
            script_error(lua, "l1:l2: name: this L1 has an L2 \"%s\" already", arguments->name);
        used += l1->l2[i].memory;
    }
    script_format_size(l1_memory, sizeof(l1_memory), l1->config.l1_memory);
    script_format_size(sum, sizeof(sum), used);
    if (used >= l1->config.l1_memory)
        script_error(lua,
                     "l1:l2: memory: the L2s need %s of L1's memory, which is %s and has to "
                     "hold L1, too",
                     sum, l1_memory);
}

/* l1:l2 { ... } */
static int l1_l2(lua_State *lua)
{
    struct script_l1 *l1 = script_check_self(lua, L1_TYPE, "l1:l2");
    struct l2_arguments arguments = {.command_line = NULL};
    struct script_l2 *object;
    struct l2_config *l2;

    lua_settop(lua, 2);
    lua_getiuservalue(lua, 1, OBJECT_OWNER); /* 3 */
    check_not_started(lua, lua_touserdata(lua, 3), "l1:l2");
    lua_getiuservalue(lua, 1, OBJECT_ANCHOR); /* 4 */
    script_read_keys(lua, "l1:l2", l2_keys, 2, 4, &arguments);
    check_l2_fits(lua, l1, &arguments);
    if (arguments.engine != NULL && engine_by_name(arguments.engine) == ENGINE_KINDS)
        script_error(lua, "l1:l2: engine: expected \"flip\", \"remap\" or \"slots\", got \"%s\"",
                     arguments.engine);
    l2 = &l1->l2[l1->config.l2_count];
    *l2 = (struct l2_config){
        .name = arguments.name,
        .memory = arguments.memory,
        .image = {arguments.image, arguments.command_line},
        .engine = arguments.engine,
    };
    if (arguments.programs != 0)
        read_programs(lua, arguments.programs, 4, l2);
    lua_getiuservalue(lua, 1, OBJECT_PARTS);
    object = script_push_object(lua, sizeof(*object), L2_TYPE);
    object->index = l1->config.l2_count;
    lua_pushvalue(lua, 1);
    lua_setiuservalue(lua, -2, OBJECT_OWNER);
    lua_pushvalue(lua, -1);
    script_anchor(lua, lua_gettop(lua) - 2);
    l1->config.l2_count++;
    return 1;
}

void script_register_stack(lua_State *lua)
{
    static const luaL_Reg stack_methods[] = {
        {"l1", stack_l1}, {"run", script_run_stack}, {NULL, NULL}};
    static const luaL_Reg l1_methods[] = {{"l2", l1_l2}, {NULL, NULL}};
    static const luaL_Reg l2_methods[] = {
        {"guard", script_guard}, {"on", script_on}, {"protect", script_protect}, {NULL, NULL}};

    script_register_type(lua, STACK_TYPE, stack_methods);
    script_register_type(lua, L1_TYPE, l1_methods);
    script_register_type(lua, L2_TYPE, l2_methods);
}
