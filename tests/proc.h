/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PROC_H
#define TESTS_PROC_H

#include <stdbool.h>
#include <sys/types.h>

/* Processes as /proc shows them (proc(5)). Texts are static and end at PROC_TEXT_MAX. */
#define PROC_TEXT_MAX 8192

/* The text of a file; "" when it is not there, as when its process has gone. */
const char *proc_text(const char *path);

/* A thread's status file; the process's own is that of its first thread. */
const char *proc_status(pid_t process, pid_t thread);
/* Whether a status has the line "name: value". */
bool proc_says(const char *status, const char *name, const char *value);

/* A child of a process; 0: it has none. */
pid_t proc_child(pid_t parent);
/* Calls look for each thread; how many there are. */
int proc_each_thread(pid_t process, void look(pid_t process, pid_t thread));
/* Waits for a process's end, for 20 s at most. */
bool proc_is_gone(pid_t process);

#endif
