/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_DEVICES_PIC_H
#define L1_DEVICES_PIC_H

#include <stdbool.h>
#include <stdint.h>

/* A pair of 8259: edge triggered, fixed priority, the second one on line 2 of the first. */
struct pic_chip {
    uint8_t requests;
    uint8_t in_service;
    uint8_t mask;
    uint8_t vector;
    uint8_t next_icw; /* 0: initialised; otherwise the ICW that the data port expects */
    bool wants_icw4;
    bool auto_eoi;
    bool reads_in_service;
};

struct pic {
    struct pic_chip chip[2];
};

#define PIC_TIMER_LINE 0

void pic_init(struct pic *pic);
void pic_write(struct pic *pic, uint16_t port, uint8_t value);
uint8_t pic_read(struct pic *pic, uint16_t port);

void pic_raise(struct pic *pic, unsigned int line);
bool pic_pending(const struct pic *pic);
bool pic_line_open(const struct pic *pic, unsigned int line);

/* The vector of the interrupt that is taken now; only if one is pending. */
uint8_t pic_acknowledge(struct pic *pic);

#endif
