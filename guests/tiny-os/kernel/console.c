/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/console.h"

#include "common/format.h"
#include "kernel/cpu.h"
#include "kernel/trap.h"

#include <stdbool.h>

#define UART_DATA             0x3f8
#define UART_FIFO             0x3fa
#define UART_STATUS           0x3fd

#define FIFO_ENABLE_AND_CLEAR 0x07
#define STATUS_THR_EMPTY      0x20

#define FIFO_SIZE             16
#define POLL_LIMIT            20000 /* 16 characters at 9600 baud take about that many reads */

#define DEBUG_EXIT            0x501

static unsigned fifo_room;
static bool status_is_dead; /* it never said "empty": nobody models it, stop asking */

void console_init(void)
{
    out8(UART_FIFO, FIFO_ENABLE_AND_CLEAR);
    fifo_room = FIFO_SIZE;
}

/* Every port access is a VM exit, so the status is asked for once per FIFO and not per character.
 */
static void wait_for_fifo(void)
{
    for (unsigned polls = 0; !status_is_dead; polls++) {
        if (in8(UART_STATUS) & STATUS_THR_EMPTY) {
            break;
        }
        status_is_dead = polls == POLL_LIMIT;
    }
    fifo_room = FIFO_SIZE;
}

void console_write(const char *bytes, uint64_t n)
{
    while (n) {
        if (!fifo_room) {
            wait_for_fifo();
        }
        unsigned burst = n < fifo_room ? (unsigned)n : fifo_room;
        fifo_room -= burst;
        n -= burst;
        for (const char *end = bytes + burst; bytes != end; bytes++) {
            out8(UART_DATA, (uint8_t)*bytes);
        }
    }
}

void print(const char *format, ...)
{
    char line[200];
    va_list arguments;

    va_start(arguments, format);
    size_t n = format_line(line, sizeof(line), format, arguments);
    va_end(arguments);
    console_write(line, n);
}

void power_off(uint8_t status)
{
    out8(DEBUG_EXIT, status);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

void panic(const char *why, const struct frame *frame)
{
    print("tiny-os: kernel: %s\n", why);
    if (frame) {
        print("  rip %lx cs %lx rflags %lx rsp %lx ss %lx\n", frame->rip, frame->cs, frame->rflags,
              frame->rsp, frame->ss);
        print("  vector %lu error %lx cr2 %lx cr3 %lx\n", frame->vector, frame->error, read_cr2(),
              read_cr3());
        print("  rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx rbp %lx\n", frame->rax, frame->rbx,
              frame->rcx, frame->rdx, frame->rsi, frame->rdi, frame->rbp);
        print("  r8 %lx r9 %lx r10 %lx r11 %lx r12 %lx r13 %lx r14 %lx r15 %lx\n", frame->r8,
              frame->r9, frame->r10, frame->r11, frame->r12, frame->r13, frame->r14, frame->r15);
    }
    power_off(STATUS_BROKEN);
}
