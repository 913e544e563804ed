/* SPDX-License-Identifier: Apache-2.0 */
/* Uses every function of the API library, as an honest program would. */
#include "api/api.h"
#include "lib/tiny.h"

static const char text[] = "a note";

static int same(const char *a, const char *b, uint64_t n)
{
    while (n && *a == *b) {
        a++;
        b++;
        n--;
    }
    return n == 0;
}

static int check(const char *what, int works)
{
    tiny_print("notes: %s %s\n", what, works ? "works" : "FAILED");
    return !works;
}

int main(int argc, char **argv)
{
    char buffer[TINY_MESSAGE_MAX];
    int failed = 0;

    (void)argc;
    (void)argv;
    failed += check("open of nothing", api_open("nothing", 0) == -TINY_ENOENT);
    int64_t file = api_open("notes.txt", TINY_OPEN_CREATE);
    failed += check("open", file >= 0);
    failed += check("write", api_write(file, text, sizeof(text)) == sizeof(text));
    failed += check("read at the end", api_read(file, buffer, sizeof(buffer)) == 0);
    failed += check("close", api_close(file) == 0 && api_close(file) == -TINY_EBADF);
    file = api_open("notes.txt", 0);
    failed += check("read", api_read(file, buffer, sizeof(buffer)) == sizeof(text) &&
                                same(buffer, text, sizeof(text)));
    int pid = tiny_getpid();
    failed += check("receive of nothing", api_receive(buffer, sizeof(buffer)) == -TINY_EAGAIN);
    failed += check("send", api_send(pid, "hi", 2) == 0 && api_send(pid, "no", 2) == -TINY_EAGAIN);
    failed += check("receive", api_receive(buffer, sizeof(buffer)) == 2 && same(buffer, "hi", 2));
    return failed != 0;
}
