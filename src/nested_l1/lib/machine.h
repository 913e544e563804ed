/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_LIB_MACHINE_H
#define L1_LIB_MACHINE_H

/* The processor, and memory functions. Physical addresses are pointers: L1 maps one to one. */

#include <stddef.h>
#include <stdint.h>

struct cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_result cpuid_count(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result result;

    __asm__ volatile("cpuid"
                     : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
                     : "a"(leaf), "c"(subleaf));
    return result;
}

static inline struct cpuid_result cpuid(uint32_t leaf)
{
    return cpuid_count(leaf, 0);
}

static inline uint64_t read_msr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static inline void port_write8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t port_read8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void *pointer_at(uint64_t address)
{
    return (void *)address;
}

static inline uint64_t address_of(const void *pointer)
{
    return (uint64_t)pointer;
}

/* String instructions: an emulator runs their elements far cheaper than a loop's instructions. */
static inline void copy_bytes(void *to, const void *from, size_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static inline void copy_words(void *to, const void *from, size_t bytes)
{
    size_t words = bytes / 8;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

static inline void fill_bytes(void *to, uint8_t value, size_t bytes)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
}

#endif
