/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/uart.h"

#include "lib/say.h"

enum {
    UART_DATA,
    UART_IIR_FCR = UART_IER + 1,
    UART_LCR,
    UART_MCR,
    UART_LSR,
    UART_MSR,
    UART_SCRATCH
};

#define LCR_DIVISOR   0x80
#define MCR_LOOP      0x10
#define MCR_OUT2      0x08 /* on a PC the gate of the interrupt line */
#define LSR_EMPTY     0x60 /* transmitter: holding and shift register */
#define MSR_CONNECTED 0xb0 /* DCD, DSR, CTS */
#define IIR_NONE      0x01
#define IIR_EMPTY     0x02
#define IIR_FIFO      0xc0
#define FCR_ENABLE    0x01

void uart_flush(struct uart *uart)
{
    if (uart->length)
        say_for(uart->console, uart->name, uart->text, uart->length);
    uart->length = 0;
}

bool uart_edge(struct uart *uart)
{
    bool edge = uart->edge;

    uart->edge = false;
    return edge;
}

/* The transmitter is empty, again or still. */
static void empty(struct uart *uart)
{
    if (!(uart->ier & UART_IER_EMPTY))
        return;
    uart->empty_pending = true;
    uart->edge = uart->mcr & MCR_OUT2;
}

static uint8_t identify(struct uart *uart)
{
    uint8_t cause = uart->empty_pending && uart->ier & UART_IER_EMPTY ? IIR_EMPTY : IIR_NONE;

    uart->empty_pending = false;
    return cause | uart->fifo;
}

static void enable(struct uart *uart, uint8_t value)
{
    bool was = uart->ier & UART_IER_EMPTY;

    uart->ier = value & 0x0f;
    if (!was)
        empty(uart);
}

static void send(struct uart *uart, uint8_t value)
{
    uart->text[uart->length++] = (char)value;
    if (value == '\n' || uart->length == UART_TEXT_SIZE)
        uart_flush(uart);
}

void uart_write(struct uart *uart, uint16_t offset, uint8_t value)
{
    if (offset <= UART_IER && uart->lcr & LCR_DIVISOR) {
        uart->divisor[offset] = value;
        return;
    }
    switch (offset) {
    case UART_DATA:
        if (!(uart->mcr & MCR_LOOP))
            send(uart, value);
        empty(uart);
        break;
    case UART_IER:
        enable(uart, value);
        break;
    case UART_IIR_FCR:
        uart->fifo = value & FCR_ENABLE ? IIR_FIFO : 0;
        break;
    case UART_LCR:
        uart->lcr = value;
        break;
    case UART_MCR:
        uart->mcr = value & 0x1f;
        break;
    case UART_SCRATCH:
        uart->scratch = value;
        break;
    default:
        break;
    }
}

/* In loop mode the modem's outputs DTR, RTS, OUT1, OUT2 are its inputs DSR, CTS, RI, DCD. */
static uint8_t modem_state(uint8_t mcr)
{
    if (!(mcr & MCR_LOOP))
        return MSR_CONNECTED;
    return (uint8_t)((mcr & 1) << 5 | (mcr & 2) << 3 | (mcr & 4) << 4 | (mcr & 8) << 4);
}

uint8_t uart_read(struct uart *uart, uint16_t offset)
{
    if (offset == UART_LSR)
        return LSR_EMPTY;
    if (offset <= UART_IER && uart->lcr & LCR_DIVISOR)
        return uart->divisor[offset];
    switch (offset) {
    case UART_IER:
        return uart->ier;
    case UART_IIR_FCR:
        return identify(uart);
    case UART_LCR:
        return uart->lcr;
    case UART_MCR:
        return uart->mcr;
    case UART_MSR:
        return modem_state(uart->mcr);
    case UART_SCRATCH:
        return uart->scratch;
    default:
        return 0;
    }
}
