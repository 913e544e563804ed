/* SPDX-License-Identifier: Apache-2.0 */
/*
 * L1 and the firmware where no root hypervisor is: on a processor with SVM L1 hosts its guests as
 * an ordinary hypervisor does; otherwise it says what is missing and stops by itself.
 */
#include "qemu_boot.h"
#include "runner.h"

#include <string.h>

#define NO_ROOT          1
#define BAD_INPUT        2
#define MISSING          3
#define GUEST            4

#define L1(machine, cpu) ((struct qemu_machine){(machine), (cpu), "-kernel", "nested_l1.elf"})
#define WITH_SVM         "max,+svm"
#define WITHOUT_SVM      "max,-svm"

static const char *const machines[] = {"pc", "microvm"};
#define MACHINES ELEMENTS(machines)

/* Adds a guest with one program, or with two. */
static void add_guest(const char *kernel, const char *program, const char *other)
{
    load("tiny-os.elf");
    add_as(kernel);
    load(program);
    add_as(strstr(kernel, "two") ? "l2=two module=first" : "l2=one module=first");
    if (other == NULL)
        return;
    load(other);
    add_as(strstr(kernel, "two") ? "l2=two module=second" : "l2=one module=second");
}

static struct file *whole(void)
{
    add_trailer();
    return &archive;
}

START_TEST(without_root_or_guests)
{
    struct qemu_machine machine = L1(machines[_i], WITH_SVM);

    boots_on(&machine, "", NULL, NO_ROOT);
    found("nested_l1: no root hypervisor is present; this is an L1, start it with mezz\n");
}
END_TEST

START_TEST(without_root_or_svm)
{
    struct qemu_machine machine = L1(machines[_i], WITHOUT_SVM);

    add_guest("l2=one image memory=8388608", "hello.elf", NULL);
    boots_on(&machine, "", whole(), NO_ROOT);
    found("nested_l1: no root hypervisor is present, and this processor has no SVM; start this L1 "
          "with mezz\n");
}
END_TEST

START_TEST(without_nested_paging)
{
    struct qemu_machine machine = L1("pc", "max,+svm,-npt");

    add_guest("l2=one image memory=8388608", "hello.elf", NULL);
    boots_on(&machine, "", whole(), NO_ROOT);
    found(
        "nested_l1: no root hypervisor is present, and this processor's SVM has no nested paging");
}
END_TEST

START_TEST(hosts_a_guest)
{
    struct qemu_machine machine = L1(machines[_i], WITH_SVM);

    add_guest("l2=one image memory=8388608", "hello.elf", "fault.elf");
    boots_on(&machine, "", whole(), 0);
    in_order("nested_l1: no root hypervisor is present; hosting by SVM; guests: 1, exits=reflect\n",
             "one | tiny-os: programs: 2\n");
    found("one | hello from ring 3: first, pid 1\n");
    found("one | tiny-os: second: page fault (write) at 0x0 rip 0x40");
    found("one | tiny-os: all programs ended (1 exited, 1 faulted, ");
    found("nested_l1: guest one ended with status 0\n");
}
END_TEST

/* Guests that never give up the processor, and that wait for their timers. */
START_TEST(shares_time_between_guests)
{
    struct qemu_machine machine = L1(machines[_i], WITH_SVM);

    add_guest("l2=one image memory=8388608", "spin.elf", "sleep.elf");
    add_guest("l2=two image memory=8388608", "spin.elf", "count.elf");
    boots_on(&machine, "slice=500", whole(), 0);
    in_order("one | spin: begin", "two | spin: end");
    in_order("two | spin: begin", "one | spin: end");
    in_order("one | sleep: woke up, 1", "one | sleep: woke up, 3");
    found("two | count: 5\n");
    found("nested_l1: guest one ended with status 0\n");
    found("nested_l1: guest two ended with status 0\n");
}
END_TEST

START_TEST(waits_for_a_timer)
{
    struct qemu_machine machine = L1(machines[_i], WITH_SVM);

    add_guest("l2=one image memory=8388608", "sleep.elf", NULL);
    boots_on(&machine, "", whole(), 0);
    found("one | sleep: woke up, 3\n");
}
END_TEST

START_TEST(keeps_registers_apart)
{
    struct qemu_machine machine = L1("pc", WITH_SVM);

    load("l2_keeps_xmm.elf");
    add_as("l2=one image memory=8388608");
    add_as("l2=two image memory=8388608");
    boots_on(&machine, "slice=200", whole(), 0);
    found("nested_l1: guest one ended with status 0\n");
    found("nested_l1: guest two ended with status 0\n");
}
END_TEST

/* One whose kernel is none ends; the other goes on. */
START_TEST(a_guest_dies_alone)
{
    struct qemu_machine machine = L1("pc", WITH_SVM);

    load("l2_triple_fault.elf");
    add_as("l2=dies image memory=8388608");
    load("l2_jump_to_nothing.elf");
    add_as("l2=jumps image memory=8388608");
    add_guest("l2=one image memory=8388608", "hello.elf", NULL);
    boots_on(&machine, "", whole(), GUEST);
    found("nested_l1: guest dies died: triple fault (reason 2, ");
    found("nested_l1: guest jumps died: fetch outside its memory (reason 48, ");
    found("one | hello from ring 3: first, pid 1\n");
}
END_TEST

START_TEST(what_needs_a_root_is_refused)
{
    static const char *const lines[] = {"exits=callback", "exits=classic", "ept=dirty", "ept=cow"};
    struct qemu_machine machine = L1("pc", WITH_SVM);

    add_guest("l2=one image memory=8388608", "hello.elf", NULL);
    boots_on(&machine, lines[_i], whole(), MISSING);
    found("nested_l1: a machine without a root has not what exits=");
}
END_TEST

START_TEST(a_cut_archive)
{
    struct qemu_machine machine = L1("pc", WITH_SVM);

    add_guest("l2=one image memory=8388608", "hello.elf", NULL);
    whole()->size -= 64;
    boots_on(&machine, "", &archive, BAD_INPUT);
    found("nested_l1: the archive of modules ends in the middle\n");
}
END_TEST

START_TEST(firmware_without_kernel)
{
    struct qemu_machine machine = {machines[_i], "max", "-bios", "firmware.bin"};

    boots_on(&machine, NULL, NULL, 1);
    found("firmware: no kernel: the entry point in the firmware table is 0\n");
}
END_TEST

RUN_CASES_IF(boot_obstacle, "e2e_l1_qemu", TEST_SECONDS + 10,
             EACH(without_root_or_guests, MACHINES), EACH(without_root_or_svm, MACHINES),
             ONCE(without_nested_paging), EACH(hosts_a_guest, MACHINES),
             EACH(shares_time_between_guests, MACHINES), EACH(waits_for_a_timer, MACHINES),
             ONCE(keeps_registers_apart), ONCE(a_guest_dies_alone),
             EACH(what_needs_a_root_is_refused, 4), ONCE(a_cut_archive),
             EACH(firmware_without_kernel, MACHINES))
