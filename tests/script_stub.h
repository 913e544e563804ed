/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SCRIPT_STUB_H
#define TESTS_SCRIPT_STUB_H

#include <stddef.h>

#include "vmm/stack/script.h"

/* Stack files without machines: a directory with a few images, and a host that only notes. */
#define FILE_NAME "t.lua"

/* What the stub machine was asked for and what it answers. */
struct stub {
    int calls;
    int code;
    struct machine_config config;
    char programs[256];
    struct machine_report report;
    char printed[256];
    unsigned int failed_line;
};

/* A new directory with images/, entered; and gone again. */
void enter_directory(void);
void leave_directory(void);

/* FILE_NAME */
void write_file(const char *text, size_t length);

struct script_host stub_host(struct stub *stub);

/* Runs a text; the script is left for the caller to look at and to destroy. */
int run_bytes(struct script **script, struct stub *stub, const struct script_limits *limits,
              const char *text, size_t length, struct error *error);
int run_text(struct stub *stub, const struct script_limits *limits, const char *text,
             struct error *error);

#endif
