/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that must fail: whoever runs the kit learns from them that failures are seen. */
#include "groups.h"
#include "kit.h"

void group_selftest(void)
{
    bool always = true;

    CHECK("a check that passes", always);
    CHECK("a check that fails", !always);
    CHECK_EQ("numbers that differ", 1, 2);
    CHECK_ERROR("a call that is not refused", mezz_call(MEZZ_CALL_VERSION, 0, 0, 0), MEZZ_E_CALL);
}
