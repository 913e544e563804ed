/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/boot/input_file.h"
#include "vmm/stack/script_lua.h"

/* Programs of an L2, and their files, for calls that look into them. */

#define FILE_LIMIT (16ULL << 20)

const struct module_config *script_find_module(lua_State *lua, const char *what,
                                               const struct l2_config *l2, const char *program)
{
    const struct module_config *found = NULL;
    size_t length = strlen(program);

    if (strchr(program, ' ') != NULL)
        script_error(lua, "%s: L2 %s has no program \"%s\": arguments are no part of a name", what,
                     l2->name, program);
    for (unsigned int i = 0; i < l2->module_count; i++) {
        const struct module_config *module = &l2->modules[i];
        const char *line = module->command_line;

        if (strncmp(line, program, length) != 0 || (line[length] != '\0' && line[length] != ' '))
            continue;
        if (found != NULL && strcmp(found->path, module->path) != 0)
            script_error(lua, "%s: L2 %s has two programs \"%s\": %s and %s", what, l2->name,
                         program, found->path, module->path);
        found = module;
    }
    if (found == NULL)
        script_error(lua, "%s: L2 %s has no program \"%s\"", what, l2->name, program);
    return found;
}

void *script_read_file(lua_State *lua, const char *what, const char *path, size_t *size)
{
    struct input_file file;
    struct error error;
    void *bytes;
    int code = input_file_open(&file, path, &error);

    if (code != 0)
        script_failed(lua, what, code, &error);
    *size = file.size;
    if (file.size > FILE_LIMIT) {
        input_file_close(&file);
        script_error(lua, "%s: %s is larger than 16M", what, path);
    }
    bytes = malloc(file.size + 1);
    code = bytes == NULL ? error_set(&error, ENOMEM, "out of memory")
                         : input_file_read(&file, bytes, &error);
    input_file_close(&file);
    if (code != 0) {
        free(bytes);
        script_failed(lua, what, code, &error);
    }
    return bytes;
}
