/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/stack/script_lua.h"

#define PATH_LIMIT 4096U

static bool is_there(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0;
}

/* The stack file's directory, without the last slash; "." when it has none. */
static void push_own_directory(lua_State *lua)
{
    const char *path = script_of(lua)->config.path;
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        lua_pushstring(lua, ".");
    else
        lua_pushlstring(lua, path, slash == path ? 1 : (size_t)(slash - path));
}

static bool push_if_there(lua_State *lua, const char *directory, const char *name)
{
    const char *path = lua_pushfstring(lua, "%s/%s", directory, name);

    if (is_there(path))
        return true;
    lua_pop(lua, 1);
    return false;
}

_Noreturn static void not_found(lua_State *lua, const char *what, const char *name)
{
    const char *const *directories = script_of(lua)->config.directories;
    luaL_Buffer list;

    luaL_buffinit(lua, &list);
    push_own_directory(lua);
    luaL_addvalue(&list);
    for (size_t i = 0; directories != NULL && directories[i] != NULL; i++) {
        luaL_addstring(&list, ", ");
        luaL_addstring(&list, directories[i]);
    }
    luaL_pushresult(&list);
    script_error(lua, "%s: no file \"%s\" in %s", what, name, lua_tostring(lua, -1));
}

const char *script_push_image(lua_State *lua, const char *what, int index)
{
    const char *const *directories = script_of(lua)->config.directories;
    size_t length;
    const char *name = lua_tolstring(lua, index, &length);

    if (length == 0 || length >= PATH_LIMIT || strlen(name) != length)
        script_error(lua, "%s: %s is not a file name", what,
                     length == 0 ? "an empty string" : "a string that is too long or holds NUL");
    if (name[0] == '/') {
        if (!is_there(name))
            script_error(lua, "%s: no file %s", what, name);
        return lua_pushstring(lua, name);
    }
    push_own_directory(lua);
    if (push_if_there(lua, lua_tostring(lua, -1), name)) {
        lua_remove(lua, -2);
        return lua_tostring(lua, -1);
    }
    lua_pop(lua, 1);
    for (size_t i = 0; directories != NULL && directories[i] != NULL; i++)
        if (push_if_there(lua, directories[i], name))
            return lua_tostring(lua, -1);
    not_found(lua, what, name);
}
