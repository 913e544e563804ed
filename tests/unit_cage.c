/* SPDX-License-Identifier: Apache-2.0 */
/* The filters of the cage, as the kernel gets them: all numbers of calls and all requests of KVM,
 * against what is promised. tests/kvm_cage.c tries some for real. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cage/cage.h"
#include "cage_program.h"
#include "cage_promise.h"
#include "runner.h"

static const int outputs[] = {1, 2, 9};

_Noreturn static void enter(enum cage_thread kind)
{
    const struct cage_config config = {outputs, ELEMENTS(outputs)};
    struct cage *cage;
    struct error error;

    if (cage_create(&cage, &config, &error) != 0 || cage_close(cage, &error) != 0 ||
        cage_enter(cage, kind, &error) != 0)
        _exit(EXIT_FAILURE);
    syscall(SYS_exit_group, EXIT_SUCCESS);
    abort();
}

static const struct cage_program *program_of(enum cage_thread kind, pid_t *child)
{
    int status;

    cage_programs_watch();
    *child = fork();
    ck_assert_int_ge(*child, 0);
    if (*child == 0)
        enter(kind);
    ck_assert_int_eq(waitpid(*child, &status, 0), *child);
    ck_assert_int_eq(status, 0);
    ck_assert_ptr_nonnull(cage_program(0));
    ck_assert_ptr_null(cage_program(1));
    ck_assert_int_eq(cage_program(0)->refused, 0);
    return cage_program(0);
}

START_TEST(what_is_let_through)
{
    enum cage_thread kind = (enum cage_thread)_i;
    struct cage_inhabitant who = {0, outputs, ELEMENTS(outputs)};
    const struct cage_program *program = program_of(kind, &who.process);

    ck_assert_int_eq(cage_promise_kind(program), kind);
    cage_promise_check(program, kind, false);
    cage_promise_check_arguments(program, &who);
}
END_TEST

static const char *obstacle(void)
{
    return cage_offer().filters ? NULL : "this kernel has no seccomp";
}

RUN_CASES_IF(obstacle, "cage filters", 120, EACH(what_is_let_through, CAGE_THREADS))
