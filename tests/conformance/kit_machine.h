/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KIT_MACHINE_H
#define KIT_MACHINE_H

/* The program's state, memory, and what C does not have. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kit_layout.h"
#include "mezz/guest.h"
#include "mezz/pvh.h"

struct kit {
    const struct mezz_pvh_start_info *start_info;
    const char *group;
    const char *label; /* of the case inside the group, or NULL */
    unsigned int passed;
    unsigned int failed;
    uint32_t l2;          /* the group's L2, 0: none yet */
    uint64_t memory;      /* the next free page of L1's memory */
    uint64_t memory_end;  /* of L1's memory, from 0 on */
    uint64_t interrupts;  /* that L1 took through its IDT */
    uint32_t last_vector; /* of those */
};

extern struct kit kit;

/* What an exception left on the stack (kit_entry.S). */
struct kit_trap {
    uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

extern const char kit_l2_start[], kit_l2_end[], kit_image_end[];

static inline void *kit_at(uint64_t address)
{
    return (void *)address;
}

static inline uint64_t kit_address(const volatile void *pointer)
{
    return (uint64_t)pointer;
}

static inline void kit_fill(void *to, uint64_t words, uint64_t value)
{
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(value) : "memory");
}

static inline void kit_copy(void *to, const void *from, uint64_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

/* Pages that nobody used before, so they are zero. NULL is the end of the program. */
static inline void *kit_pages(unsigned int count)
{
    uint64_t at = kit.memory;

    kit.memory += (uint64_t)count * MEZZ_PAGE_SIZE;
    if (kit.memory > kit.memory_end) {
        static const char text[] = "FAIL kit: L1's memory is used up\n";

        mezz_call(MEZZ_CALL_CONSOLE, 0, kit_address(text), sizeof(text) - 1);
        mezz_call(MEZZ_CALL_EXIT, 255, 0, 0);
    }
    return kit_at(at);
}

static inline uint64_t kit_time(void)
{
    return (uint64_t)mezz_call(MEZZ_CALL_TIME, 0, 0, 0);
}

static inline void kit_cpuid(uint32_t leaf, uint32_t result[4])
{
    uint32_t c = 0;

    __asm__ volatile("cpuid"
                     : "=a"(result[0]), "=b"(result[1]), "+c"(c), "=d"(result[3])
                     : "a"(leaf));
    result[2] = c;
}

#endif
