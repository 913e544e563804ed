/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/pic.h"

#define SECOND_BASE   0xa0
#define CASCADE       2

#define ICW1          0x10
#define ICW1_ICW4     0x01
#define ICW4_AUTO_EOI 0x02
#define OCW3          0x08
#define OCW3_READ     0x02
#define OCW3_READ_ISR 0x01
#define OCW2_EOI      0x20
#define OCW2_SPECIFIC 0x40

void pic_init(struct pic *pic)
{
    *pic = (struct pic){.chip = {{.mask = 0xff}, {.mask = 0xff}}};
}

static uint8_t lowest(uint8_t lines)
{
    return (uint8_t)(lines & -lines);
}

/* The line that the chip would ask for now, as a bit; 0: none. */
static uint8_t wanted(const struct pic_chip *chip, uint8_t requests)
{
    uint8_t line = lowest(requests & (uint8_t)~chip->mask);
    uint8_t busy = lowest(chip->in_service);

    return !busy || line < busy ? line : 0;
}

static uint8_t first_wanted(const struct pic *pic)
{
    uint8_t requests = pic->chip[0].requests;

    if (wanted(&pic->chip[1], pic->chip[1].requests))
        requests |= 1U << CASCADE;
    return wanted(&pic->chip[0], requests);
}

bool pic_pending(const struct pic *pic)
{
    return (pic->chip[0].requests | pic->chip[1].requests) && first_wanted(pic);
}

bool pic_line_open(const struct pic *pic, unsigned int line)
{
    const struct pic_chip *chip = &pic->chip[line / 8];

    return !(chip->mask >> line % 8 & 1);
}

void pic_raise(struct pic *pic, unsigned int line)
{
    pic->chip[line / 8].requests |= (uint8_t)(1U << line % 8);
}

static uint8_t accept(struct pic_chip *chip, uint8_t line)
{
    chip->requests &= (uint8_t)~line;
    if (!chip->auto_eoi)
        chip->in_service |= line;
    return chip->vector + (uint8_t)__builtin_ctz(line);
}

uint8_t pic_acknowledge(struct pic *pic)
{
    uint8_t vector = accept(&pic->chip[0], first_wanted(pic));

    if (vector % 8 == CASCADE && wanted(&pic->chip[1], pic->chip[1].requests))
        vector = accept(&pic->chip[1], wanted(&pic->chip[1], pic->chip[1].requests));
    return vector;
}

static void write_command(struct pic_chip *chip, uint8_t value)
{
    if (value & ICW1) {
        *chip = (struct pic_chip){.next_icw = 2, .wants_icw4 = value & ICW1_ICW4};
    } else if (value & OCW3) {
        if (value & OCW3_READ)
            chip->reads_in_service = value & OCW3_READ_ISR;
    } else if (value & OCW2_EOI) {
        if (value & OCW2_SPECIFIC)
            chip->in_service &= (uint8_t) ~(1U << (value & 7));
        else
            chip->in_service &= (uint8_t)~lowest(chip->in_service);
    }
}

static void write_data(struct pic_chip *chip, uint8_t value)
{
    switch (chip->next_icw) {
    case 2:
        chip->vector = value & 0xf8;
        chip->next_icw = 3;
        break;
    case 3:
        chip->next_icw = chip->wants_icw4 ? 4 : 0;
        break;
    case 4:
        chip->auto_eoi = value & ICW4_AUTO_EOI;
        chip->next_icw = 0;
        break;
    default:
        chip->mask = value;
        break;
    }
}

void pic_write(struct pic *pic, uint16_t port, uint8_t value)
{
    struct pic_chip *chip = &pic->chip[port >= SECOND_BASE];

    if (port & 1)
        write_data(chip, value);
    else
        write_command(chip, value);
}

uint8_t pic_read(struct pic *pic, uint16_t port)
{
    const struct pic_chip *chip = &pic->chip[port >= SECOND_BASE];

    if (port & 1)
        return chip->mask;
    return chip->reads_in_service ? chip->in_service : chip->requests;
}
