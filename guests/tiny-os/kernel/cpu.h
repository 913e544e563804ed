/* SPDX-License-Identifier: Apache-2.0 */
/* The few instructions that C does not have. */
#ifndef TINY_KERNEL_CPU_H
#define TINY_KERNEL_CPU_H

#include <stdbool.h>
#include <stdint.h>

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint64_t read_cr2(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}

static inline uint64_t read_cr3(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr3, %0" : "=r"(value));
    return value;
}

static inline void write_cr3(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}

/* Which of the two instructions is a hypercall. */
static inline bool is_of_amd(void)
{
    uint32_t a = 0, b, c, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return b == 0x68747541u; /* "Auth" of AuthenticAMD */
}

/* What LIDT and LGDT load. */
struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static inline void load_idt(const struct table_pointer *pointer)
{
    __asm__ volatile("lidt %0" : : "m"(*pointer) : "memory");
}

static inline void load_gdt(const struct table_pointer *pointer)
{
    __asm__ volatile("lgdt %0" : : "m"(*pointer) : "memory");
}

static inline void load_tss(uint16_t selector)
{
    __asm__ volatile("ltr %0" : : "r"(selector) : "memory");
}

static inline uint64_t read_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline void let_interrupts_in(void)
{
    __asm__ volatile("sti; nop; cli" : : : "memory");
}

/* Lets one interrupt in; returns after it. */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

#endif
