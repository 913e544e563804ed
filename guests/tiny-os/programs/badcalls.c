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
#define CODE          (TINY_IMAGE_START + 0x1000ul) /* where program.ld puts it */
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

static const char name[] = "file";
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
    {"write(end of the stack in its second word)", TINY_CALL_WRITE, STACK_END - 12, 16, 0, 0},
    {"write(end of the stack in its last bytes)", TINY_CALL_WRITE, STACK_END - 8, 11, 0, 0},
    {"write(end of the stack in less than a word)", TINY_CALL_WRITE, STACK_END - 3, 7, 0, 0},
    {"write(end of user memory)", TINY_CALL_WRITE, TINY_USER_END - 4, 8, 0, 0},
    {"write(last byte of all)", TINY_CALL_WRITE, ALL_ONES, 1, 0, 0},
    {"write(too long)", TINY_CALL_WRITE, CODE, TINY_WRITE_MAX + 1, 0, 0},
    {"write(longest)", TINY_CALL_WRITE, CODE, ALL_ONES, 0, 0},
    {"write(wraps)", TINY_CALL_WRITE, CODE, 0 - (uint64_t)TINY_IMAGE_START, 0, 0},
    {"sleep(for ever)", TINY_CALL_SLEEP, ALL_ONES, 0, 0, 0},
    {"open(null)", TINY_CALL_OPEN, 0, 4, 0, 0},
    {"open(kernel text)", TINY_CALL_OPEN, KERNEL_TEXT, 4, TINY_OPEN_CREATE, 0},
    {"open(no name)", TINY_CALL_OPEN, (uint64_t)name, 0, TINY_OPEN_CREATE, 0},
    {"open(long name)", TINY_CALL_OPEN, (uint64_t)name, ALL_ONES, TINY_OPEN_CREATE, 0},
    {"open(odd flags)", TINY_CALL_OPEN, (uint64_t)name, 4, ALL_ONES, 0},
    {"read(no such handle)", TINY_CALL_READ, 1, (uint64_t)name, 4, 0},
    {"read(handle 2^63)", TINY_CALL_READ, NON_CANONICAL, (uint64_t)name, 4, 0},
    {"read(into kernel)", TINY_CALL_READ, 0, KERNEL_DIRECT, 4, 0},
    {"read(into code)", TINY_CALL_READ, 0, CODE, 4, 0},
    {"read(across the end of the stack)", TINY_CALL_READ, 0, STACK_END - 2, 4, 0},
    {"read(into null)", TINY_CALL_READ, 0, 0, ALL_ONES, 0},
    {"store(kernel text)", TINY_CALL_STORE, 0, KERNEL_TEXT, 4, 0},
    {"store(too much)", TINY_CALL_STORE, 0, CODE, ALL_ONES, 0},
    {"store(end of the stack)", TINY_CALL_STORE, 0, STACK_END - 4, 8, 0},
    {"close(handle -1)", TINY_CALL_CLOSE, ALL_ONES, 0, 0, 0},
    {"send(pid 0)", TINY_CALL_SEND, 0, CODE, 4, 0},
    {"send(pid 2^32 + 1)", TINY_CALL_SEND, (1ul << 32) + 1, CODE, 4, 0},
    {"receive(nothing)", TINY_CALL_RECEIVE, CODE, ALL_ONES, 0, 0},
    {"call 4095", 4095, 0, 0, 0, 0},
    {"call 2^32", 1ul << 32, 0, 0, 0, 0},
    {"call 2^64 - 1", ALL_ONES, 0, 0, 0, 0},
};

static void expect_refused(const char *what, int64_t result)
{
    if (result < 0 && result >= -TINY_ERROR_MAX) {
        refused++;
    } else {
        accepted++;
    }
    tiny_print("badcalls: %s = %ld\n", what, result);
}

static void expect_works(const char *what, int works)
{
    accepted += !works;
    tiny_print("badcalls: %s %s\n", what, works ? "works" : "FAILED");
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

/* Neither less nor more than asked for, wherever it lies in a word: there and back again. */
static int copies_are_exact(void)
{
    static uint8_t from[64], to[64];
    uint64_t self = (uint64_t)tiny_getpid();

    for (unsigned n = 1; n <= 32; n++) {
        for (unsigned at = 8; at < 16; at++) {
            for (unsigned i = 0; i < sizeof(to); i++) {
                from[i] = (uint8_t)(i + 8 * n);
                to[i] = 0xff;
            }
            if (tiny_call(TINY_CALL_SEND, self, (uint64_t)from + at, n, 0) ||
                tiny_call(TINY_CALL_RECEIVE, (uint64_t)to + at, n, 0, 0) != n) {
                return 0;
            }
            for (unsigned i = 0; i < sizeof(to); i++) {
                if (to[i] != (i >= at && i < at + n ? from[i] : 0xff)) {
                    return 0;
                }
            }
        }
    }
    return 1;
}

static void try_messages(void)
{
    uint64_t self = (uint64_t)tiny_getpid();

    expect_refused("send(kernel text)", tiny_call(TINY_CALL_SEND, self, KERNEL_TEXT, 4, 0));
    expect_refused("send(too long)",
                   tiny_call(TINY_CALL_SEND, self, CODE, TINY_MESSAGE_MAX + 1, 0));
    expect_works("a message", tiny_call(TINY_CALL_SEND, self, (uint64_t)name, 4, 0) == 0);
    expect_refused("receive(into code)", tiny_call(TINY_CALL_RECEIVE, CODE, 4, 0, 0));
    expect_refused("receive(into kernel)", tiny_call(TINY_CALL_RECEIVE, KERNEL_DIRECT, 4, 0, 0));
    expect_refused("receive(too short)", tiny_call(TINY_CALL_RECEIVE, CODE, 3, 0, 0));
}

/* Who still has an emptied file open writes where he was; what lies before is zeros. */
static int emptied_file_has_nothing(void)
{
    char bytes[8];
    int64_t other;

    if (tiny_call(TINY_CALL_READ, 0, (uint64_t)bytes, 4, 0) != 4) {
        return 0;
    }
    other = tiny_call(TINY_CALL_OPEN, (uint64_t)name, 4, TINY_OPEN_EMPTY, 0);
    if (tiny_call(TINY_CALL_READ, 0, (uint64_t)bytes, sizeof(bytes), 0) != 0 ||
        tiny_call(TINY_CALL_STORE, 0, (uint64_t)name, 1, 0) != 1 ||
        tiny_call(TINY_CALL_READ, (uint64_t)other, (uint64_t)bytes, sizeof(bytes), 0) != 5) {
        return 0;
    }
    tiny_call(TINY_CALL_CLOSE, (uint64_t)other, 0, 0, 0);
    return !bytes[0] && !bytes[3] && bytes[4] == name[0];
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    /* Handle 0, with something to read at offset 0: what is refused below must not be for lack of
     * it. */
    tiny_call(TINY_CALL_OPEN, (uint64_t)name, 4, TINY_OPEN_CREATE, 0);
    tiny_call(TINY_CALL_STORE, 0, (uint64_t)name, 4, 0);
    tiny_call(TINY_CALL_CLOSE, 0, 0, 0, 0);
    expect_works("an open file", tiny_call(TINY_CALL_OPEN, (uint64_t)name, 4, 0, 0) == 0);
    for (unsigned i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        const struct attempt *t = &attempts[i];

        expect_refused(t->name, tiny_call(t->number, t->a, t->b, t->c, t->d));
    }
    expect_works("an emptied file", emptied_file_has_nothing());
    expect_works("a copy of any length", copies_are_exact());
    try_messages();
    expect_works("write of nothing", tiny_write(attempts, 0) == 0);
    expect_works("a call across pages", getpid_across_pages() == tiny_getpid());
    expect_works("a call with odd flags", registers_are_kept());
    tiny_print("badcalls: %u refused, %u wrong\n", refused, accepted);
    return accepted != 0;
}
