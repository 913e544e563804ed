/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_SIGNALS_H
#define VMM_CLI_SIGNALS_H

#include <signal.h>
#include <sys/types.h>

struct machine;

/*
 * SIGINT, SIGTERM and SIGHUP end a run in good order: the machine is stopped, the script ends, what
 * there is to report is reported. A second one ends the process at once. One that is ignored when
 * the process starts, as by nohup, stays so. One per process, as signal handlers are.
 */
void cli_signals_catch(void);

/* For a process that gets them both from the terminal and from the one that started it: as
 * cli_signals_catch, but a second one is as the first. */
void cli_signals_catch_all(void);

/* Nobody reads what the run shows any more: as a SIGPIPE would have it, but in good order. */
void cli_signals_reader_gone(void);

/* The signal that came, or 0. For script_config.interrupted. */
extern volatile sig_atomic_t cli_signal;

/* Which machine a signal stops from now on; NULL: none. Returns when no handler uses the former one
 * any more. A signal that has come already stops the new one. */
void cli_signals_watch(struct machine *machine);

/* The same for a process that runs a machine, and that a signal is passed on to; 0: none. */
void cli_signals_forward(pid_t process);

/* Between these two the signals wait. */
void cli_signals_hold(sigset_t *before);
void cli_signals_release(const sigset_t *before);

#endif
