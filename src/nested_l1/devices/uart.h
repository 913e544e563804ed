/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_DEVICES_UART_H
#define L1_DEVICES_UART_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A 16550 with an endless transmitter and nothing to receive: of its interrupts there is just the
 * one for an empty transmitter, which comes right behind each byte.
 */
#define UART_TEXT_SIZE 240

struct uart {
    const char *name; /* of the guest, for say_for */
    uint32_t console; /* of MEZZ_CALL_CONSOLE */
    uint16_t length;
    uint8_t ier;
    uint8_t lcr;
    uint8_t mcr;
    uint8_t scratch;
    uint8_t fifo;
    uint8_t divisor[2];
    bool empty_pending;        /* the interrupt's identification has not been read yet */
    bool edge;                 /* of the interrupt line, since uart_edge */
    char text[UART_TEXT_SIZE]; /* the line so far */
};

/* offset is the register, 0 to 7. */
void uart_write(struct uart *uart, uint16_t offset, uint8_t value);
uint8_t uart_read(struct uart *uart, uint16_t offset);

#define UART_LINE      4

#define UART_IER       1
#define UART_IER_EMPTY 0x02

/* Whether the access may end in an interrupt. */
static inline bool uart_may_interrupt(const struct uart *uart, uint16_t offset)
{
    return uart->ier & UART_IER_EMPTY || offset == UART_IER;
}

/* After an access: whether it made an edge of the interrupt line. */
bool uart_edge(struct uart *uart);

/* Sends what there is of a line. */
void uart_flush(struct uart *uart);

#endif
