/* SPDX-License-Identifier: Apache-2.0 */
#include "host_memory.h"

#include <stdio.h>

/* The kernel counts in batches for each processor, and frees some of what a VM had a little later.
 */
#define NOISE_KB    2048.0
#define NOISE_SHARE 8

static double in_use(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    unsigned long long total = 0;
    unsigned long long available = 0;
    char line[128];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "MemTotal: %llu", &total);
        sscanf(line, "MemAvailable: %llu", &available);
    }
    if (file != NULL)
        fclose(file);
    return (double)total - (double)available;
}

void host_memory_start(struct host_memory *memory)
{
    memory->start_kb = memory->before_kb = in_use();
    memory->taken_kb = 0;
}

void host_memory_before(struct host_memory *memory)
{
    memory->before_kb = in_use();
}

void host_memory_after(struct host_memory *memory)
{
    memory->taken_kb = in_use() - memory->before_kb;
}

struct host_memory_figure host_memory_judge(double start_kb, double taken_kb, double end_kb)
{
    const double kb = taken_kb > 0 ? taken_kb : 0;
    const double noise = NOISE_KB + kb / NOISE_SHARE;

    return (struct host_memory_figure){
        .kb = kb,
        .known = taken_kb >= -NOISE_KB && end_kb - start_kb <= noise && start_kb - end_kb <= noise,
    };
}

struct host_memory_figure host_memory_end(const struct host_memory *memory)
{
    return host_memory_judge(memory->start_kb, memory->taken_kb, in_use());
}
