/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call with hostile arguments: shows what came back, and ends with status 1 if the kernel
 * accepted one. Also a call whose two bytes straddle a page, which must work.
 */
#include "lib/tiny.h"

#define KERNEL_TEXT   0xffffffff80110000ul
#define KERNEL_DIRECT 0xffffff8000120000ul
#define NON_CANONICAL 0x8000000000000000ul
#define ALL_ONES      0xfffffffffffffffful
#define UNMAPPED      0x20000000ul
#define STACK_END     ((uint64_t)TINY_STACK_TOP)

/* int 0x80 with CD as the last byte of a page; the rest as in a function without arguments. */
int64_t getpid_across_pages(void);
__asm__(".section .text.straddle, \"ax\"\n"
        ".balign 4096\n"
        ".skip 4096 - 6\n"
        "getpid_across_pages:\n"
        "movl $4, %eax\n" /* TINY_CALL_GETPID, 5 bytes */
        "int $0x80\n"
        "ret\n"
        ".text\n");
_Static_assert(TINY_CALL_GETPID == 4, "getpid_across_pages");

static unsigned refused, accepted;

struct attempt {
    const char *name;
    uint64_t number, a, b, c, d;
};

static const struct attempt attempts[] = {
    {"write(null)", TINY_CALL_WRITE, 0, 8, 0, 0},
    {"write(unmapped)", TINY_CALL_WRITE, UNMAPPED, 8, 0, 0},
    {"write(kernel text)", TINY_CALL_WRITE, KERNEL_TEXT, 8, 0, 0},
    {"write(direct map)", TINY_CALL_WRITE, KERNEL_DIRECT, 8, 0, 0},
    {"write(non-canonical)", TINY_CALL_WRITE, NON_CANONICAL, 8, 0, 0},
    {"write(end of the stack)", TINY_CALL_WRITE, STACK_END - 4, 8, 0, 0},
    {"write(end of user memory)", TINY_CALL_WRITE, TINY_USER_END - 4, 8, 0, 0},
    {"write(last byte of all)", TINY_CALL_WRITE, ALL_ONES, 1, 0, 0},
    {"write(too long)", TINY_CALL_WRITE, TINY_IMAGE_START, TINY_WRITE_MAX + 1, 0, 0},
    {"write(longest)", TINY_CALL_WRITE, TINY_IMAGE_START + 4096, ALL_ONES, 0, 0},
    {"write(wraps)", TINY_CALL_WRITE, TINY_IMAGE_START + 4096, 0 - (uint64_t)TINY_IMAGE_START, 0,
     0},
    {"sleep(for ever)", TINY_CALL_SLEEP, ALL_ONES, 0, 0, 0},
    {"call 4095", 4095, 0, 0, 0, 0},
    {"call 2^32", 1ul << 32, 0, 0, 0, 0},
    {"call 2^64 - 1", ALL_ONES, 0, 0, 0, 0},
};

static void expect_refused(const char *name, int64_t result)
{
    if (result < 0 && result >= -TINY_ERROR_MAX) {
        refused++;
    } else {
        accepted++;
    }
    tiny_print("badcalls: %s = %ld\n", name, result);
}

static void expect_works(const char *name, int works)
{
    accepted += !works;
    tiny_print("badcalls: %s %s\n", name, works ? "works" : "FAILED");
}

/* Only RAX may change, and the flags of ring 3 must not harm the kernel. */
static int registers_are_kept(void)
{
    uint64_t rbx = 0x1111, r9 = 0x2222, r15 = 0x3333, direction;
    int64_t result = TINY_CALL_GETPID;
    register uint64_t in_r9 __asm__("r9") = r9;
    register uint64_t in_r15 __asm__("r15") = r15;

    __asm__ volatile("std\n int $0x80\n pushfq\n cld\n popq %[flags]"
                     : "+a"(result), "+b"(rbx), "+r"(in_r9), "+r"(in_r15), [flags] "=r"(direction)
                     :
                     : "memory");
    return result == tiny_getpid() && rbx == 0x1111 && in_r9 == r9 && in_r15 == r15 &&
           (direction & 0x400);
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (unsigned i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        const struct attempt *t = &attempts[i];

        expect_refused(t->name, tiny_call(t->number, t->a, t->b, t->c, t->d));
    }
    expect_works("write of nothing", tiny_write(attempts, 0) == 0);
    expect_works("a call across pages", getpid_across_pages() == tiny_getpid());
    expect_works("a call with odd flags", registers_are_kept());
    tiny_print("badcalls: %u refused, %u wrong\n", refused, accepted);
    return accepted != 0;
}
