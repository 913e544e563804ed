/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/pit.h"

#define CHANNEL_0            0x40
#define CONTROL              0x43
#define FREQUENCY            1193182U
#define SECOND               1000000000ULL

#define ACCESS_LATCH         0
#define ACCESS_LOW           1
#define ACCESS_HIGH          2
#define ACCESS_BOTH          3

#define READ_BACK            3
#define READ_BACK_CHANNEL_0  0x02
#define READ_BACK_NOT_STATUS 0x10
#define READ_BACK_NOT_COUNT  0x20
#define STATUS_NO_COUNT      0x40

#define MODE_ONCE            0
#define MODE_RATE            2
#define MODE_SQUARE          3

static void start(struct pit *pit, uint32_t count, uint64_t now)
{
    pit->reload = count ? count : 0x10000;
    pit->period = pit->reload * SECOND / FREQUENCY;
    pit->start = now;
    pit->next = now + pit->period;
}

static uint16_t counter(const struct pit *pit, uint64_t now)
{
    uint64_t gone;

    if (!pit->reload)
        return 0;
    gone = (now - pit->start) * FREQUENCY / SECOND;
    if (pit->mode != MODE_ONCE)
        gone %= pit->reload;
    return (uint16_t)(pit->reload - gone);
}

static void latch(struct pit *pit, uint64_t now)
{
    if (pit->latched)
        return;
    pit->latch = counter(pit, now);
    pit->latched = pit->access == ACCESS_BOTH ? 2 : 1;
}

static void control(struct pit *pit, uint8_t value, uint64_t now)
{
    uint8_t access = value >> 4 & 3;
    uint8_t mode = value >> 1 & 7;

    if (value >> 6 == READ_BACK && value & READ_BACK_CHANNEL_0) {
        if (!(value & READ_BACK_NOT_COUNT))
            latch(pit, now);
        if (!(value & READ_BACK_NOT_STATUS))
            pit->status_latched = true;
    }
    if (value >> 6)
        return;
    if (access == ACCESS_LATCH)
        latch(pit, now);
    else /* bit 2 of modes 2 and 3 is not decoded by the chip */
        *pit = (struct pit){.access = access, .mode = mode >= 6 ? mode - 4 : mode};
}

void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now)
{
    if (port == CONTROL)
        control(pit, value, now);
    if (port != CHANNEL_0)
        return;
    if (pit->access == ACCESS_BOTH && !pit->second_write) {
        pit->low = value;
        pit->second_write = true;
        return;
    }
    pit->second_write = false;
    if (pit->access == ACCESS_LOW)
        start(pit, value, now);
    else
        start(pit, (uint32_t)value << 8 | pit->low, now);
}

uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now)
{
    uint16_t value = pit->latched ? pit->latch : 0;
    bool high = pit->access == ACCESS_HIGH;

    if (port != CHANNEL_0)
        return 0xff;
    if (pit->status_latched) {
        pit->status_latched = false;
        return (uint8_t)((pit->reload ? 0 : STATUS_NO_COUNT) | pit->access << 4 | pit->mode << 1);
    }
    if (pit->latched)
        pit->latched--;
    else
        value = counter(pit, now);
    if (pit->access == ACCESS_BOTH) {
        high = pit->second_read;
        pit->second_read = !pit->second_read;
    }
    return (uint8_t)(high ? value >> 8 : value);
}

bool pit_tick(struct pit *pit, uint64_t now)
{
    if (!pit->next || now < pit->next)
        return false;
    if (pit->mode == MODE_RATE || pit->mode == MODE_SQUARE)
        pit->next += ((now - pit->next) / pit->period + 1) * pit->period;
    else
        pit->next = 0;
    return true;
}
