/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/info.h"

#include <stddef.h>
#include <sys/stat.h>

const char *info_kvm_name(void)
{
    /* Only one of them can be in use; a module that is built in shows here, too. */
    static const struct {
        const char *path;
        const char *name;
    } modules[] = {
        {"/sys/module/kvm_pvm", "kvm_pvm"},
        {"/sys/module/kvm_amd", "kvm_amd"},
        {"/sys/module/kvm_intel", "kvm_intel"},
    };
    struct stat status;

    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
        if (stat(modules[i].path, &status) == 0)
            return modules[i].name;
    return "unknown";
}
