/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/stack/script.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/boot/input_file.h"
#include "vmm/stack/script_lua.h"

#define FILE_LIMIT   (1UL << 20)
#define MESSAGE_SIZE 1024U

struct source {
    char *text;
    size_t length;
    size_t start; /* of what is Lua */
};

void script_error(lua_State *lua, const char *format, ...)
{
    char text[MESSAGE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    lua_pushfstring(lua, "%s:%d: %s", script_of(lua)->config.path, (int)script_line(lua), text);
    lua_error(lua);
    __builtin_unreachable();
}

void script_no_memory(lua_State *lua, const char *what)
{
    struct script_budget *budget = &script_of(lua)->budget;

    script_budget_over(budget, ENOMEM, script_line(lua), what);
    script_error(lua, "%s", what);
}

void script_failed(lua_State *lua, const char *what, int code, const struct error *error)
{
    char text[MESSAGE_SIZE];

    snprintf(text, sizeof(text), "%s: %s", what, error->text);
    if (code == -ENOMEM)
        script_no_memory(lua, text);
    script_error(lua, "%s", text);
}

int script_create(struct script **created, const struct script_config *config, struct error *error)
{
    struct script *script = calloc(1, sizeof(*script));
    int code;

    if (script == NULL)
        return error_set(error, ENOMEM, "out of memory");
    script->config = *config;
    script->record.path = config->path;
    code = script_budget_init(&script->budget, config, error);
    if (code != 0)
        goto free_script;
    script->lua = lua_newstate(script_allocate, &script->budget);
    if (script->lua == NULL) {
        code = error_set(error, ENOMEM, "out of memory");
        goto destroy_budget;
    }
    *(struct script **)lua_getextraspace(script->lua) = script;
    script->budget.lua = script->lua;
    *created = script;
    return 0;

destroy_budget:
    script_budget_destroy(&script->budget);
free_script:
    free(script);
    return code;
}

void script_destroy(struct script *script)
{
    struct script_record *record = &script->record;

    lua_close(script->lua);
    script_budget_destroy(&script->budget);
    for (size_t i = 0; i < record->run_count; i++)
        report_release(&record->runs[i].report);
    for (size_t i = 0; i < record->expectation_count; i++)
        free(record->expectations[i].text);
    free(record->runs);
    free(record->expectations);
    json_decref(record->rows);
    free(script);
}

const struct script_record *script_record(const struct script *script)
{
    return &script->record;
}

static int read_source(struct source *source, const char *path, struct error *error)
{
    struct input_file file;
    int code = input_file_open(&file, path, error);

    if (code != 0)
        return code;
    source->length = (size_t)file.size;
    if (file.size > FILE_LIMIT)
        code = error_set(error, EINVAL, "%s: too large for a stack file", path);
    else if ((source->text = malloc(source->length)) == NULL)
        code = error_set(error, ENOMEM, "out of memory");
    else
        code = input_file_read(&file, source->text, error);
    input_file_close(&file);
    if (code != 0)
        free(source->text);
    return code;
}

/* As Lua's own loader of files has it: a byte order mark, and a first line that begins with # and
 * is for the system. The line's end stays, so that lines are counted right. */
static void skip_head(struct source *source)
{
    const char *end;

    if (source->length >= 3 && memcmp(source->text, "\xef\xbb\xbf", 3) == 0)
        source->start = 3;
    if (source->start == source->length || source->text[source->start] != '#')
        return;
    end = memchr(source->text + source->start, '\n', source->length - source->start);
    source->start = end != NULL ? (size_t)(end - source->text) : source->length;
}

/* (source): runs in protected mode, from the opening of the libraries on. */
static int run_source(lua_State *lua)
{
    const struct source *source = lua_touserdata(lua, 1);

    script_open_libraries(lua);
    script_register_mezz(lua);
    /* Of that Lua would say no line. */
    if (source->start < source->length && source->text[source->start] == LUA_SIGNATURE[0])
        return luaL_error(lua, "%s:1: is compiled Lua; a stack file is its text",
                          script_of(lua)->config.path);
    lua_pushfstring(lua, "@%s", script_of(lua)->config.path);
    if (luaL_loadbufferx(lua, source->text + source->start, source->length - source->start,
                         lua_tostring(lua, -1), "t") != LUA_OK)
        return lua_error(lua);
    script_budget_begin(&script_of(lua)->budget);
    lua_call(lua, 0, 0);
    return 0;
}

/* What of the text stands behind the stack file's name, from the colon on; NULL: it begins with
 * something else. Lua names a file of a long path "...its end", which may have colons of its own.
 */
static const char *behind_name(const char *path, const char *text)
{
    size_t length = strlen(path);

    if (strncmp(text, path, length) == 0 && text[length] == ':')
        return text + length;
    if (strncmp(text, "...", 3) != 0)
        return NULL;
    text += 3;
    for (const char *colon = text; (colon = strchr(colon, ':')) != NULL; colon++) {
        size_t end = (size_t)(colon - text);

        if (end <= length && strncmp(path + length - end, text, end) == 0)
            return colon;
    }
    return NULL;
}

int script_message(lua_State *lua)
{
    const char *path = script_of(lua)->config.path;
    const char *text = lua_type(lua, 1) == LUA_TSTRING ? lua_tostring(lua, 1) : NULL;
    const char *rest = text != NULL ? behind_name(path, text) : NULL;

    if (rest != NULL)
        lua_pushfstring(lua, "%s%s", path, rest);
    else if (text != NULL)
        lua_pushfstring(lua, "%s:%d: %s", path, (int)script_line(lua), text);
    else
        lua_pushfstring(lua, "%s:%d: error() with a %s in place of a text", path,
                        (int)script_line(lua), luaL_typename(lua, 1));
    return 1;
}

static int explain(struct script *script, int status, struct error *error)
{
    const struct script_budget *budget = &script->budget;
    const char *text = lua_tostring(script->lua, -1);

    if (budget->over != 0) {
        *error = budget->why;
        return -budget->over;
    }
    if (status == LUA_ERRMEM && budget->host_out)
        return error_set(error, ENOMEM, "%s: out of memory", budget->path);
    if (status == LUA_ERRMEM && budget->memory_line == 0)
        return error_set(error, EINVAL, "%s: used more than %zu KiB of memory", budget->path,
                         budget->limits->memory >> 10);
    if (status == LUA_ERRMEM)
        return error_set(error, EINVAL, "%s:%u: used more than %zu KiB of memory", budget->path,
                         budget->memory_line, budget->limits->memory >> 10);
    if (text == NULL)
        return error_set(error, EINVAL, "%s: an error without a message", budget->path);
    error_set(error, EINVAL, "%s", text);
    return strcmp(error->text, script->host_error.text) == 0 ? -script->host_code : -EINVAL;
}

int script_execute(struct script *script, struct error *error)
{
    struct source source = {.text = NULL};
    int code = read_source(&source, script->config.path, error);
    int status;

    if (code != 0)
        return code;
    skip_head(&source);
    /* Neither of these can fail: a new state has room, and a light function needs no memory. */
    lua_pushcfunction(script->lua, script_message);
    lua_pushcfunction(script->lua, run_source);
    lua_pushlightuserdata(script->lua, &source);
    status = lua_pcall(script->lua, 1, 0, 1);
    script_budget_pause(&script->budget);
    if (status != LUA_OK || script->budget.over != 0)
        code = explain(script, status, error);
    free(source.text);
    return code;
}
