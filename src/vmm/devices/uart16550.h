/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_UART16550_H
#define VMM_UART16550_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A 16550A (PC16550D data sheet) that is always ready to send and never receives, but for the
 * loop-back of MCR bit 4. It runs no guest-visible time: a byte written is a byte sent.
 */
struct uart16550 {
    void (*sink)(void *context, const char *text, size_t length);
    void *context;
    uint8_t ier;
    uint8_t fcr;
    uint8_t lcr;
    uint8_t mcr;
    uint8_t scr;
    uint8_t divisor[2];
    uint8_t received; /* looped back */
    bool has_received;
    bool overrun;
    bool sent;         /* THR became empty, and IIR has not told yet */
    uint8_t msr_delta; /* bits 3:0 of MSR */
};

/* sink: takes what the guest sends; NULL: nobody does. */
void uart16550_init(struct uart16550 *uart,
                    void (*sink)(void *context, const char *text, size_t length), void *context);

/* offset: 0..7, the port less its base; other bits are ignored. */
void uart16550_write(struct uart16550 *uart, unsigned int offset, uint8_t value);
uint8_t uart16550_read(struct uart16550 *uart, unsigned int offset);

/* Level of the interrupt line: an enabled cause is pending and MCR.OUT2 lets it through. */
bool uart16550_interrupt(const struct uart16550 *uart);

#endif
