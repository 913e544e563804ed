/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/ports.h"

#include "host/hot.h"
#include "vmm/machine_state.h"

static uint8_t uart_read(struct machine *machine, uint16_t offset)
{
    return uart16550_read(&machine->uart, offset);
}

static void uart_write(struct machine *machine, uint16_t offset, uint8_t value)
{
    uart16550_write(&machine->uart, offset, value);
}

static void debug_exit_write(struct machine *machine, uint16_t offset, uint8_t value)
{
    if (offset != 0)
        return;
    machine->report.status = value;
    machine_end(machine, MACHINE_DONE, NULL);
}

HOT static void post_write(struct machine *machine, uint16_t offset, uint8_t value)
{
    (void)offset;
    machine->report.last_post = value;
}

static const struct port_device {
    uint16_t first;
    uint16_t count;
    uint8_t (*read)(struct machine *machine, uint16_t offset); /* NULL: ones */
    void (*write)(struct machine *machine, uint16_t offset, uint8_t value);
} devices[] = {
    {MEZZ_PORT_POST, 1, NULL, post_write},
    {MEZZ_PORT_DEBUG_EXIT, 2, NULL, debug_exit_write},
    {MEZZ_PORT_UART, 8, uart_read, uart_write},
};

static const struct port_device *find(uint32_t port)
{
    for (unsigned int i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        if (port - devices[i].first < devices[i].count)
            return &devices[i];
    return NULL;
}

static uint8_t read_byte(struct machine *machine, uint32_t port)
{
    const struct port_device *device = find(port);

    if (device == NULL || device->read == NULL)
        return 0xff;
    return device->read(machine, (uint16_t)(port - device->first));
}

static void write_byte(struct machine *machine, uint32_t port, uint8_t value)
{
    const struct port_device *device = find(port);

    if (device != NULL)
        device->write(machine, (uint16_t)(port - device->first), value);
}

HOT void ports_write(struct machine *machine, uint16_t port, uint32_t size, uint64_t value)
{
    if (size == 1) {
        write_byte(machine, port, (uint8_t)value);
        return;
    }
    for (uint32_t i = 0; i < size; i++)
        write_byte(machine, port + i, (uint8_t)(value >> (8 * i)));
}

HOT uint64_t ports_read(struct machine *machine, uint16_t port, uint32_t size)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < size; i++)
        value |= (uint64_t)read_byte(machine, port + i) << (8 * i);
    return value;
}
