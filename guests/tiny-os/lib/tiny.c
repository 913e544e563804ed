/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tiny.h"

#include "common/format.h"

#define ARGUMENTS_MAX 16

_Noreturn void tiny_start(char *command);

void tiny_start(char *command)
{
    char *argv[ARGUMENTS_MAX + 1];
    int argc = 0;

    while (*command && argc < ARGUMENTS_MAX) {
        if (*command == ' ') {
            *command++ = '\0';
            continue;
        }
        argv[argc++] = command;
        while (*command && *command != ' ') {
            command++;
        }
    }
    argv[argc] = 0;
    tiny_exit(main(argc, argv));
}

void tiny_print(const char *format, ...)
{
    char line[256];
    va_list arguments;

    va_start(arguments, format);
    size_t n = format_line(line, sizeof(line), format, arguments);
    va_end(arguments);
    tiny_write(line, n);
}

static uint64_t now(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

void tiny_burn(uint64_t tsc_ticks)
{
    uint64_t start = now();

    while (now() - start < tsc_ticks) {
        __asm__ volatile("pause");
    }
}
