/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/uart16550.h"

#include <string.h>

/* Registers by offset; some have another meaning when LCR.DLAB is set, or when they are written. */
enum {
    REGISTER_DATA = 0, /* RBR, THR; DLAB: low divisor */
    REGISTER_IER = 1,  /* DLAB: high divisor */
    REGISTER_IIR = 2,  /* written: FCR */
    REGISTER_LCR = 3,
    REGISTER_MCR = 4,
    REGISTER_LSR = 5,
    REGISTER_MSR = 6,
    REGISTER_SCR = 7
};

#define IER_RECEIVED    (1U << 0)
#define IER_SENT        (1U << 1)
#define IER_LINE        (1U << 2)
#define IER_MODEM       (1U << 3)
#define IER_MASK        0x0fU

#define IIR_NONE        0x01U
#define IIR_MODEM       0x00U
#define IIR_SENT        0x02U
#define IIR_RECEIVED    0x04U
#define IIR_LINE        0x06U
#define IIR_FIFOS       0xc0U

#define FCR_ENABLE      (1U << 0)
#define FCR_CLEAR_RX    (1U << 1)
#define LCR_DLAB        (1U << 7)

#define MCR_MASK        0x1fU
#define MCR_DTR         (1U << 0)
#define MCR_RTS         (1U << 1)
#define MCR_OUT1        (1U << 2)
#define MCR_OUT2        (1U << 3)
#define MCR_LOOP        (1U << 4)

#define LSR_RECEIVED    (1U << 0)
#define LSR_OVERRUN     (1U << 1)
#define LSR_EMPTY       (3U << 5) /* THR and the shift register: always */

#define MSR_CTS         (1U << 4)
#define MSR_DSR         (1U << 5)
#define MSR_RI          (1U << 6)
#define MSR_DCD         (1U << 7)
#define MSR_TRAILING_RI 2U /* bit of the delta that is set only when RI goes off */

void uart16550_init(struct uart16550 *uart,
                    void (*sink)(void *context, const char *text, size_t length), void *context)
{
    memset(uart, 0, sizeof(*uart));
    uart->sink = sink;
    uart->context = context;
    uart->divisor[0] = 1; /* 115,200 baud */
}

/* Bits 7:4 of MSR: a peer that is there, or our own outputs in a loop. */
static uint8_t modem_lines(const struct uart16550 *uart)
{
    unsigned int lines = 0;

    if (!(uart->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    if (uart->mcr & MCR_RTS)
        lines |= MSR_CTS;
    if (uart->mcr & MCR_DTR)
        lines |= MSR_DSR;
    if (uart->mcr & MCR_OUT1)
        lines |= MSR_RI;
    if (uart->mcr & MCR_OUT2)
        lines |= MSR_DCD;
    return (uint8_t)lines;
}

static unsigned int pending_cause(const struct uart16550 *uart)
{
    if ((uart->ier & IER_LINE) && uart->overrun)
        return IIR_LINE;
    if ((uart->ier & IER_RECEIVED) && uart->has_received)
        return IIR_RECEIVED;
    if ((uart->ier & IER_SENT) && uart->sent)
        return IIR_SENT;
    if ((uart->ier & IER_MODEM) && uart->msr_delta)
        return IIR_MODEM;
    return IIR_NONE;
}

bool uart16550_interrupt(const struct uart16550 *uart)
{
    /* In a loop the outputs, OUT2 too, are cut off from the pins. */
    return pending_cause(uart) != IIR_NONE && (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
}

static void send(struct uart16550 *uart, uint8_t value)
{
    const char text = (char)value;

    if (uart->mcr & MCR_LOOP) {
        uart->overrun = uart->overrun || uart->has_received;
        uart->received = value;
        uart->has_received = true;
    } else if (uart->sink != NULL) {
        uart->sink(uart->context, &text, 1);
    }
    uart->sent = true;
}

static void write_ier(struct uart16550 *uart, uint8_t value)
{
    /* Enabling the cause while THR is empty raises it. */
    if (!(uart->ier & IER_SENT) && (value & IER_SENT))
        uart->sent = true;
    uart->ier = value & IER_MASK;
}

static void write_mcr(struct uart16550 *uart, uint8_t value)
{
    const unsigned int before = modem_lines(uart);
    unsigned int now;

    uart->mcr = value & MCR_MASK;
    now = modem_lines(uart);
    uart->msr_delta |= (uint8_t)((((before ^ now) >> 4) & ~(1U << MSR_TRAILING_RI)) |
                                 ((before & ~now & MSR_RI) >> 4));
}

static void write_fcr(struct uart16550 *uart, uint8_t value)
{
    if (value & FCR_CLEAR_RX)
        uart->has_received = false;
    uart->fcr = value & FCR_ENABLE;
}

void uart16550_write(struct uart16550 *uart, unsigned int offset, uint8_t value)
{
    offset &= 7;
    if ((uart->lcr & LCR_DLAB) && offset <= REGISTER_IER) {
        uart->divisor[offset] = value;
        return;
    }
    switch (offset) {
    case REGISTER_DATA:
        send(uart, value);
        break;
    case REGISTER_IER:
        write_ier(uart, value);
        break;
    case REGISTER_IIR:
        write_fcr(uart, value);
        break;
    case REGISTER_LCR:
        uart->lcr = value;
        break;
    case REGISTER_MCR:
        write_mcr(uart, value);
        break;
    case REGISTER_SCR:
        uart->scr = value;
        break;
    case REGISTER_LSR:
    case REGISTER_MSR:
    default:
        break; /* read-only */
    }
}

static uint8_t read_data(struct uart16550 *uart)
{
    uint8_t value = uart->has_received ? uart->received : 0;

    uart->has_received = false;
    return value;
}

static uint8_t read_iir(struct uart16550 *uart)
{
    const unsigned int cause = pending_cause(uart);

    if (cause == IIR_SENT)
        uart->sent = false;
    return (uint8_t)(cause | (uart->fcr & FCR_ENABLE ? IIR_FIFOS : 0));
}

static uint8_t read_lsr(struct uart16550 *uart)
{
    unsigned int value = LSR_EMPTY;

    if (uart->has_received)
        value |= LSR_RECEIVED;
    if (uart->overrun)
        value |= LSR_OVERRUN;
    uart->overrun = false;
    return (uint8_t)value;
}

static uint8_t read_msr(struct uart16550 *uart)
{
    uint8_t value = modem_lines(uart) | uart->msr_delta;

    uart->msr_delta = 0;
    return value;
}

uint8_t uart16550_read(struct uart16550 *uart, unsigned int offset)
{
    offset &= 7;
    if ((uart->lcr & LCR_DLAB) && offset <= REGISTER_IER)
        return uart->divisor[offset];
    switch (offset) {
    case REGISTER_DATA:
        return read_data(uart);
    case REGISTER_IER:
        return uart->ier;
    case REGISTER_IIR:
        return read_iir(uart);
    case REGISTER_LCR:
        return uart->lcr;
    case REGISTER_MCR:
        return uart->mcr;
    case REGISTER_LSR:
        return read_lsr(uart);
    case REGISTER_MSR:
        return read_msr(uart);
    case REGISTER_SCR:
    default:
        return uart->scr;
    }
}
