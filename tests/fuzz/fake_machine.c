/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_kvm.h"
#include "input.h"
#include "vmm/machine_state.h"

#define STEPS_MOST 400
#define INPUT_MOST 1024 /* a longer one takes long, and does nothing that is new */

/* Path of an image of a page, which is never run. */
static const char *make_image(void)
{
    static char image[64];
    static const char *const seed = "tests/fuzz/seeds/fuzz_elf_image/one";
    char bytes[4096];
    FILE *file;
    size_t length;
    int fd = memfd_create("image", MFD_CLOEXEC);

    file = fopen(seed, "r");
    if (file == NULL || fd < 0) {
        fprintf(stderr, "%s: run this in the source's directory\n", seed);
        exit(2);
    }
    length = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    if (write(fd, bytes, length) != (ssize_t)length)
        abort();
    snprintf(image, sizeof(image), "/proc/self/fd/%d", fd);
    return image;
}

struct machine *fake_machine_create(const struct fake_host *host)
{
    static struct machine_config config = {.l1_memory = L1_MEMORY, .timeout_ns = UINT64_MAX / 4};
    struct machine *machine;
    struct error error;

    if (config.l1_image == NULL)
        config.l1_image = make_image();
    if (machine_create(&machine, &config, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    fake_kvm_allow(machine->memory.base, L1_MEMORY);
    machine->host_is_known = true;
    machine->host.paging.kind = host->nested_paging ? PAGING_HARDWARE : PAGING_SHADOW;
    machine->host.logs_each_write = host->logs_each_write;
    return machine;
}

void fake_machine_run(struct machine *machine, const uint8_t *data, size_t size)
{
    input_begin(data, size < INPUT_MOST ? size : INPUT_MOST);
    for (int i = 0; i < STEPS_MOST && !machine->ended; i++)
        l1_vcpu_step(machine->l1[0]);
    machine_destroy(machine);
    fake_kvm_allow(NULL, 0);
    fake_kvm_check_closed();
}
