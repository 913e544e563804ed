/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_DEVICES_UART_H
#define L1_DEVICES_UART_H

#include <stdint.h>

/*
 * A 16550 with an endless transmitter and nothing to receive. It has no interrupt: a driver that
 * waits for one has to poll (Linux finds this out and does).
 */
#define UART_TEXT_SIZE 240

struct uart {
    uint32_t console; /* of MEZZ_CALL_CONSOLE */
    uint16_t length;
    uint8_t ier;
    uint8_t lcr;
    uint8_t mcr;
    uint8_t scratch;
    uint8_t fifo;
    uint8_t divisor[2];
    char text[UART_TEXT_SIZE]; /* the line so far */
};

/* offset is the register, 0 to 7. */
void uart_write(struct uart *uart, uint16_t offset, uint8_t value);
uint8_t uart_read(struct uart *uart, uint16_t offset);

/* Sends what there is of a line. */
void uart_flush(struct uart *uart);

#endif
