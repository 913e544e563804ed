/* SPDX-License-Identifier: Apache-2.0 */
/* Words of which a declaration chooses one, and what is said to one that there is not. */
#include "vmm/stack/script_lua.h"
#include "vmm/stack/script_units.h"

_Noreturn void script_unknown(lua_State *lua, const char *call, const char *what, const char *name,
                              const char *(*candidate)(const void *, size_t))
{
    const char *meant = script_did_you_mean(name, candidate, NULL);

    if (meant != NULL)
        script_error(lua, "%s: %s: there is no \"%s\"; did you mean \"%s\"?", call, what, name,
                     meant);
    script_error(lua, "%s: %s: there is no \"%s\"", call, what, name);
}

static const char *refusal_name(const void *context, size_t i)
{
    (void)context;
    return i < REFUSAL_KINDS ? portion_refusal_name((enum portion_refusal)i) : NULL;
}

enum portion_refusal script_read_on_refusal(lua_State *lua, const char *call, const char *name)
{
    enum portion_refusal refusal = REFUSAL_KILL;
    const char *meant;

    if (name != NULL)
        refusal = portion_refusal_by_name(name);
    if (refusal != REFUSAL_KINDS)
        return refusal;
    meant = script_did_you_mean(name, refusal_name, NULL);
    script_error(lua,
                 "%s: on_refusal: expected \"log\", \"error\", \"kill\" or \"stop\", got \"%s\""
                 "%s%s%s",
                 call, name, meant != NULL ? "; did you mean \"" : "", meant != NULL ? meant : "",
                 meant != NULL ? "\"?" : "");
}
