/* SPDX-License-Identifier: Apache-2.0 */
/* Bad input, each with its one clear line on stderr and its exit status. */
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mezz_process.h"
#include "runner.h"

#define L1(image, memory)       \
    "local s = mezz.stack {}\n" \
    "local l1 = s:l1 { image = '" image "', memory = '" memory "' }\n"
#define L2(image)              \
    L1("nested_l1.elf", "16M") \
    "l1:l2 { name = 'bad', image = '" image "', memory = '4M' }\n"
#define HELPS 6
#define RUN   "s:run { timeout = '2s' }\n"

/* One line that starts like this and has that in it. */
static void expect_line(const struct mezz_process *mezz, int status, const char *start,
                        const char *part)
{
    ck_assert_msg(mezz->status == status && mezz_lines(mezz->err) == 1 &&
                      strncmp(mezz->err, start, strlen(start)) == 0 &&
                      strstr(mezz->err, part) != NULL,
                  "status %d, expected %d with \"%s...%s\"; stderr:\n%s", mezz->status, status,
                  start, part, mezz->err);
}

static const struct {
    const char *text;
    int status;
    const char *start; /* behind "mezz: t.lua" */
    const char *part;
} stacks[] = {
    /* the stack file */
    {"local x = = 1\n", 2, ":1: ", "unexpected symbol near '='"},
    {"mezz.stack { memroy = '64M' }\n", 2, ":1: ", "did you mean \"memory\"?"},
    {"io.open 'x'\n", 2, ":1: ", "a stack file has no \"io\""},
    {"while true do end\n", 2, ":1: ", "used more than "},
    {L1("none.elf", "4M"), 2, ":2: ", "no file \"none.elf\" in ., "},
    /* images */
    {L1("empty", "4M") RUN, 2, ":3: ./empty: ", "empty"},
    {L1("text", "4M") RUN, 2, ":3: ./text: ", ""},
    {L1("elf32", "4M") RUN, 2, ":3: ./elf32: ", ""},
    {L1("past", "4M") RUN, 2, ":3: ./past: segment ", ""},
    {L1("directory", "4M") RUN, 2, ":3: ./directory: ", ""},
    /* what runs */
    {L1("l1_triple_fault.elf", "4M") RUN, 4, ":3: ", "triple fault"},
    {L1("l1_loop.elf", "4M") RUN, 4, ":3: ", "time of"},
    {L1("l1_halt.elf", "4M") RUN, 4, ":3: ", "halted"},
    {L1("l1_unknown_call.elf", "4M") RUN, 4,
     ":3: L1 ended with status 1; 1 of its calls got an "
     "error code, the last one call ",
     " (unknown): error 1 (CALL)"},
    {L2("l2_jump_to_nothing.elf") RUN, 4, ":4: a guest died: L2 bad", "0x70000000"},
    {L2("l2_triple_fault.elf") RUN, 4, ":4: a guest died: L2 bad", "triple_fault"},
    {L2("text") RUN, 4, ":4: ", ""},
};

/* The images that no build has, made from one that is good: l1_loop.elf. */
static size_t read_good(unsigned char *image, size_t size)
{
    char path[PATH_MAX];
    FILE *file;
    size_t length;

    snprintf(path, sizeof(path), "%s/l1_loop.elf", getenv("MEZZ_IMAGES"));
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    length = fread(image, 1, size, file);
    fclose(file);
    ck_assert_uint_gt(length, sizeof(Elf64_Ehdr));
    return length;
}

static void write_bad_images(const struct mezz_process *mezz)
{
    static unsigned char image[65536];
    size_t length = read_good(image, sizeof(image));
    Elf64_Ehdr header;
    Elf64_Phdr segment;

    memcpy(&header, image, sizeof(header));
    memcpy(&segment, image + header.e_phoff, sizeof(segment));
    mezz_write(mezz, "empty", "", 0);
    mezz_write(mezz, "text", "this is no image\n", 17);
    image[EI_CLASS] = ELFCLASS32;
    mezz_write(mezz, "elf32", image, length);
    image[EI_CLASS] = ELFCLASS64;
    segment.p_memsz = 64UL << 20;
    memcpy(image + header.e_phoff, &segment, sizeof(segment));
    mezz_write(mezz, "past", image, length);
}

START_TEST(stack)
{
    struct mezz_process mezz;
    char directory[128];
    char start[128];

    mezz_begin(&mezz);
    write_bad_images(&mezz);
    snprintf(directory, sizeof(directory), "%s/directory", mezz.directory);
    ck_assert_int_eq(mkdir(directory, 0700), 0);
    mezz_run_text(&mezz, stacks[_i].text);
    snprintf(start, sizeof(start), "mezz: t.lua%s", stacks[_i].start);
    expect_line(&mezz, stacks[_i].status, start, stacks[_i].part);
    ck_assert_int_eq(rmdir(directory), 0);
    mezz_end(&mezz, 5);
}
END_TEST

/* The image's file ends inside of each of its headers, and behind them. */
START_TEST(truncated)
{
    static unsigned char image[65536];
    size_t length = read_good(image, sizeof(image));
    Elf64_Ehdr header;
    size_t cuts[6];
    struct mezz_process mezz;

    memcpy(&header, image, sizeof(header));
    cuts[0] = 3;
    cuts[1] = EI_NIDENT;
    cuts[2] = sizeof(header) - 1;
    cuts[3] = header.e_phoff + 1;
    cuts[4] = header.e_phoff + (size_t)header.e_phnum * header.e_phentsize - 1;
    cuts[5] = header.e_phoff + (size_t)header.e_phnum * header.e_phentsize;
    ck_assert_uint_lt(cuts[_i], length);
    mezz_begin(&mezz);
    mezz_write(&mezz, "cut", image, cuts[_i]);
    mezz_run_text(&mezz, L1("cut", "4M") RUN);
    expect_line(&mezz, 2, "mezz: t.lua:3: ./cut: ", "");
    mezz_end(&mezz, 2);
}
END_TEST

static const struct {
    const char *argv[8];
    const char *err;
} same_files[] = {
    {{"run", "t.lua", "--trace", "./t.lua"}, "mezz: --trace: ./t.lua: is the stack file, too\n"},
    {{"run", "t.lua", "--json", "new", "--log", "new"}, "mezz: --log: new: is --json, too\n"},
};

/* Nothing is written over what another option, or the stack, is in. */
START_TEST(same_file)
{
    static const char text[] = "print 'still here'\n";
    struct mezz_process mezz;
    char *left;

    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, sizeof(text) - 1);
    mezz_run(&mezz, same_files[_i].argv);
    mezz_expect(&mezz, 2, same_files[_i].err);
    left = mezz_read(&mezz, "t.lua");
    ck_assert_str_eq(left, text);
    free(left);
    mezz_end(&mezz, 1);
}
END_TEST

static const struct {
    const char *argv[6];
    int status;
    const char *err;
} commands[] = {
    {{"run", "none.lua"}, 2, "mezz: none.lua: No such file or directory\n"},
    {{"run"},
     2,
     "mezz: run: no stack file; usage: mezz run FILE [--json OUT] [--trace OUT] [--log FILE] "
     "[-v]\n"},
    {{"run", "a", "b"},
     2,
     "mezz: run: \"b\" is one argument too many; usage: mezz run FILE [--json OUT] [--trace OUT] "
     "[--log FILE] [-v]\n"},
    {{"run", "--jsom", "x", "a"}, 2, "mezz: run: unknown option --jsom; did you mean --json?\n"},
    {{"run", "a", "--json"}, 2, "mezz: run: --json needs a value: --json OUT\n"},
    {{"run", "-x", "a"}, 2, "mezz: run: unknown option -x; mezz run --help lists them\n"},
    {{"rnu", "a"}, 2, "mezz: no such command: rnu; did you mean run?\n"},
    {{NULL}, 2, "mezz: no command; mezz --help lists them\n"},
    {{"--version", "foo"}, 2, "mezz: --version: \"foo\" is one argument too many\n"},
    {{"--help", "run", "foo"}, 2, "mezz: --help: \"foo\" is one argument too many\n"},
    {{"help", "rnu"}, 2, "mezz: no such command: rnu; did you mean run?\n"},
    {{"run", "a", "--log", "-"},
     2,
     "mezz: --log: a log is a file of its own, to be verified later: -\n"},
    {{"info", "x"},
     2,
     "mezz: info: \"x\" is one argument too many; usage: mezz info [--json [OUT]]\n"},
    {{"info", "--kvm", "/dev/null"}, 3, "mezz: /dev/null: is not a KVM device\n"},
};

START_TEST(command)
{
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_run(&mezz, commands[_i].argv);
    mezz_expect(&mezz, commands[_i].status, commands[_i].err);
    mezz_end(&mezz, 0);
}
END_TEST

START_TEST(help_and_version)
{
    static const char *const words[HELPS][3] = {{"--help"},        {"--version"},
                                                {"run", "--help"}, {"info", "--help"},
                                                {"help"},          {"--help", "log"}};
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_run(&mezz, words[_i]);
    mezz_expect(&mezz, 0, "");
    ck_assert_str_ne(mezz.out, "");
    mezz_end(&mezz, 0);
}
END_TEST

START_TEST(no_kvm)
{
    static const char *const run[] = {"run", "t.lua", NULL};
    static const char *const info[] = {"info", NULL};
    static const char text[] = L1("l1_loop.elf", "4M") RUN;
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz.environment[0] = "MEZZ_KVM=./kvm";
    mezz_write(&mezz, "t.lua", text, sizeof(text) - 1);
    mezz_run(&mezz, run);
    expect_line(&mezz, 3, "mezz: t.lua:3: ./kvm: No such file or directory: ", "kvm_amd");
    mezz_run(&mezz, info);
    expect_line(&mezz, 3, "mezz: ./kvm: No such file or directory: ", "kvm_amd");
    mezz_end(&mezz, 1);
}
END_TEST

/* A device that this user may not open; as root only another user can show it. */
START_TEST(kvm_without_permission)
{
    static const char *const info[] = {"info", NULL};
    char path[128];
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_write(&mezz, "kvm", "", 0);
    snprintf(path, sizeof(path), "%s/kvm", mezz.directory);
    ck_assert_int_eq(chmod(path, 0), 0);
    mezz.environment[0] = "MEZZ_KVM=./kvm";
    mezz.as_nobody = geteuid() == 0;
    mezz_run(&mezz, info);
    expect_line(&mezz, 3, "mezz: ./kvm: Permission denied: ", "group");
    mezz_end(&mezz, 1);
}
END_TEST

/* Bochs lets no interrupt through to the host while a guest has them masked, where a processor
 * does: nothing can end this guest there. */
START_TEST(loop_without_interrupts)
{
    const char *lane = getenv("MEZZ_LANE");
    struct mezz_process mezz;

    if (lane != NULL && strncmp(lane, "vmx", 3) == 0)
        return;
    mezz_begin(&mezz);
    mezz_run_text(&mezz, L1("l1_deaf_loop.elf", "4M") RUN);
    expect_line(&mezz, 4, "mezz: t.lua:3: ", "time of");
    mezz_end(&mezz, 1);
}
END_TEST

START_TEST(more_memory_than_the_host)
{
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_run_text(&mezz, "local s = mezz.stack { memory = '1024G' }\n"
                         "s:l1 { image = 'l1_loop.elf', memory = '4M' }\n" RUN);
    expect_line(&mezz, 2, "mezz: t.lua:3: memory: ", "this host has");
    mezz_end(&mezz, 1);
}
END_TEST

/* L1 gets an error code for what it asks for; who runs it is told what the host lacks. The first
 * limit that a machine can be made with is too low for an L2, or for its views. */
START_TEST(too_few_files)
{
    static const char text[] =
        "local s = mezz.stack { memory = '96M' }\n"
        "local l1 = s:l1 { image = 'conformance_l1.elf', memory = '64M',\n"
        "    cmdline = 'group=gate' }\n"
        "l1:l2 { name = 'gate', image = 'tiny-os.elf', memory = '2M', engine = 'flip' }\n"
        "s:run { timeout = '20s', may_die = true }\n";
    struct mezz_process mezz;
    bool told = false;

    for (rlim_t files = 10; files < 64 && !told; files++) {
        mezz_begin(&mezz);
        mezz.resource = RLIMIT_NOFILE;
        mezz.limit = (struct rlimit){files, files};
        mezz_run_text(&mezz, text);
        told = mezz.status == 0;
        if (told) {
            ck_assert_msg(mezz_lines(mezz.err) == 1 &&
                              strstr(mezz.err, "mezz: t.lua:5: the host failed, and L1 was told "
                                               "so: memory of L2 ") == mezz.err &&
                              strstr(mezz.err, "Too many open files\n") != NULL,
                          "%u files: %s", (unsigned int)files, mezz.err);
        } else {
            ck_assert_int_eq(mezz.status, 3);
        }
        mezz_end(&mezz, 1);
    }
    ck_assert(told);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "bad_input", 60, EACH(stack, ELEMENTS(stacks)), EACH(truncated, 6),
             EACH(same_file, ELEMENTS(same_files)), EACH(command, ELEMENTS(commands)),
             EACH(help_and_version, HELPS), ONCE(no_kvm), ONCE(kvm_without_permission),
             ONCE(loop_without_interrupts), ONCE(more_memory_than_the_host), ONCE(too_few_files))
