/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/machine_boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mezz/firmware.h"
#include "vmm/boot/boot.h"
#include "vmm/boot/input_file.h"
#include "vmm/vmcs/x86.h"

#define FIRMWARE_SLOT   1
#define MODULE_TEXT_MAX 1024

/* Segment types for 32-bit protected mode as PVH wants it: flat, accessed. */
static struct kvm_segment flat_segment(uint8_t type, uint16_t selector)
{
    return (struct kvm_segment){.limit = UINT32_MAX,
                                .selector = selector,
                                .type = type,
                                .present = 1,
                                .s = 1,
                                .db = 1,
                                .g = 1};
}

static void start_at_pvh_entry(struct l1_vcpu *l1, const struct boot_result *boot)
{
    struct kvm_run *run = l1->kvm.run;
    struct kvm_sregs *sregs = &run->s.regs.sregs;

    sregs->cs = flat_segment(11, 8);
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = flat_segment(3, 16);
    sregs->tr = (struct kvm_segment){.limit = 0x67, .selector = 24, .type = 11, .present = 1};
    sregs->ldt = (struct kvm_segment){.unusable = 1};
    sregs->cr0 = CR0_PE | CR0_ET;
    run->s.regs.regs =
        (struct kvm_regs){.rip = boot->entry, .rbx = boot->start_info, .rflags = RFLAGS_FIXED};
    kvm_vcpu_replaced(&l1->kvm, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
}

static int check_table(const char *path, const struct mezz_firmware_table *table,
                       struct error *error)
{
    if (table->magic != MEZZ_FIRMWARE_MAGIC)
        return error_set(error, EINVAL, "%s: is no firmware of this project", path);
    if (table->version != MEZZ_FIRMWARE_VERSION)
        return error_set(error, EINVAL, "%s: firmware table version %u, this root fills version %u",
                         path, table->version, MEZZ_FIRMWARE_VERSION);
    return 0;
}

/* The vCPU is at the reset vector already: that is how KVM creates it. */
static int load_firmware(struct machine *machine, const char *path, const struct boot_result *boot,
                         struct error *error)
{
    uint8_t *rom = machine->memory.base + machine->l1_memory.size;
    struct mezz_firmware_table table;
    struct input_file file;
    int code = input_file_open(&file, path, error);

    if (code != 0)
        return code;
    if (file.size != MEZZ_FIRMWARE_SIZE)
        code = error_set(error, EINVAL, "%s: a firmware has %u bytes, this file %llu", path,
                         MEZZ_FIRMWARE_SIZE, (unsigned long long)file.size);
    else
        code = input_file_read(&file, rom, error);
    input_file_close(&file);
    if (code != 0)
        return code;
    memcpy(&table, rom, sizeof(table));
    code = check_table(path, &table, error);
    if (code != 0)
        return code;
    table.entry = boot->entry;
    table.start_info = boot->start_info;
    memcpy(rom, &table, sizeof(table));
    code = kvm_vm_set_slot(&machine->l1_vm, FIRMWARE_SLOT, MEZZ_FIRMWARE_ADDRESS,
                           MEZZ_FIRMWARE_SIZE, rom, KVM_MEM_READONLY);
    if (code != 0)
        code = error_set(error, ENODEV, "memory slot of the firmware: %s", strerror(-code));
    return code;
}

/* Fails if the text does not fit: a shortened command line would be another one. */
static int module_text(char *to, const struct l2_config *l2, const struct module_config *module,
                       struct error *error)
{
    const char *line = module->command_line == NULL ? "" : module->command_line;
    int length;

    if (module == &l2->image)
        length = snprintf(to, MODULE_TEXT_MAX, "l2=%s image memory=%llu%s%s", l2->name,
                          (unsigned long long)l2->memory, line[0] == '\0' ? "" : " cmdline=", line);
    else
        length = snprintf(to, MODULE_TEXT_MAX, "l2=%s module=%s", l2->name, line);
    if (length >= MODULE_TEXT_MAX)
        return error_set(error, EINVAL, "L2 %s: the command line of %s is longer than %d bytes",
                         l2->name, module->path, MODULE_TEXT_MAX - 64);
    return 0;
}

static unsigned int count_modules(const struct machine_config *config)
{
    unsigned int count = 0;

    for (unsigned int i = 0; i < config->l2_count; i++)
        count += 1 + config->l2[i].module_count;
    return count;
}

static int fill_modules(struct boot_module *modules, char (*texts)[MODULE_TEXT_MAX],
                        const struct machine_config *config, struct error *error)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < config->l2_count; i++) {
        const struct l2_config *l2 = &config->l2[i];

        for (unsigned int m = 0; m <= l2->module_count; m++, n++) {
            const struct module_config *module = m == 0 ? &l2->image : &l2->modules[m - 1];
            int code = module_text(texts[n], l2, module, error);

            if (code != 0)
                return code;
            modules[n] = (struct boot_module){module->path, texts[n]};
        }
    }
    return 0;
}

int machine_boot(struct machine *machine, const struct machine_config *config, struct error *error)
{
    unsigned int count = count_modules(config);
    struct boot_module *modules = calloc(count + 1, sizeof(*modules));
    char(*texts)[MODULE_TEXT_MAX] = calloc(count + 1, sizeof(*texts));
    struct boot_config boot = {config->l1_image, config->l1_command_line, modules, count};
    struct boot_result result;
    int code = -ENOMEM;

    if (modules == NULL || texts == NULL)
        error_set(error, ENOMEM, "out of memory");
    else
        code = fill_modules(modules, texts, config, error);
    if (code == 0)
        code = boot_load(&result, &boot, &machine->l1_memory, error);
    if (code == 0 && config->firmware != NULL)
        code = load_firmware(machine, config->firmware, &result, error);
    else if (code == 0)
        start_at_pvh_entry(machine->l1[0], &result);
    free(texts);
    free(modules);
    return code;
}
