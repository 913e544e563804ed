/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/cli_terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cli/cli_signals.h"

#define SOURCE_SCRIPT (TERMINAL_SOURCES - 1)
#define NAME_LIMIT    40

/* Of the prefix; L1 first, then L2s in turn. */
static const char *const colours[] = {"\033[36m", "\033[32m", "\033[35m", "\033[33m", "\033[34m"};
static const char *const plain = "\033[0m";

int terminal_init(struct terminal *terminal, int fd, bool use_colours, bool live)
{
    *terminal = (struct terminal){.colours = use_colours, .live = live};
    terminal->out = patient_open(&terminal->patience, fd);
    if (terminal->out == NULL)
        return -ENOMEM;
    terminal->patience.closed = cli_signals_reader_gone;
    pthread_mutex_init(&terminal->lock, NULL);
    return 0;
}

void terminal_destroy(struct terminal *terminal)
{
    fclose(terminal->out);
    pthread_mutex_destroy(&terminal->lock);
}

void terminal_begin(struct terminal *terminal, size_t longest, uint64_t give_up_at)
{
    atomic_store(&terminal->patience.give_up_at, give_up_at);
    memset(terminal->shown, 0, sizeof(terminal->shown));
    terminal->width = longest > NAME_LIMIT ? NAME_LIMIT : (int)longest;
}

void terminal_begin_silent(struct terminal *terminal, const char *title, uint64_t give_up_at)
{
    terminal_begin(terminal, strlen("stack"), give_up_at);
    terminal->silent = true;
    terminal->progress = terminal->live && title[0] != '\0';
    if (terminal->progress)
        fprintf(terminal->out, "... %s", title);
    fflush(terminal->out);
}

/* ECMA-48: to the first column, EL. */
static void take_back(struct terminal *terminal)
{
    if (!terminal->progress)
        return;
    fputs("\r\033[K", terminal->out);
    fflush(terminal->out);
    terminal->progress = false;
}

void terminal_end(struct terminal *terminal)
{
    take_back(terminal);
    terminal->silent = false;
    atomic_store(&terminal->patience.give_up_at, UINT64_MAX);
}

static const char *colour_of(const struct terminal *terminal, unsigned int source)
{
    size_t l2s = sizeof(colours) / sizeof(colours[0]) - 1;

    if (!terminal->colours || source == SOURCE_SCRIPT)
        return NULL;
    return source == TERMINAL_L1 ? colours[0] : colours[1 + (source - 1) % l2s];
}

static void put_prefix(struct terminal *terminal, unsigned int source, const char *name)
{
    const char *colour = colour_of(terminal, source);
    char label[NAME_LIMIT + 8];

    if (source == TERMINAL_L1)
        snprintf(label, sizeof(label), "L1");
    else if (source == SOURCE_SCRIPT)
        snprintf(label, sizeof(label), "stack");
    else
        snprintf(label, sizeof(label), "L2 %.*s", NAME_LIMIT, name);
    fprintf(terminal->out, "%s%-*s |%s ", colour != NULL ? colour : "", terminal->width, label,
            colour != NULL ? plain : "");
}

static void put_byte(FILE *out, char byte)
{
    if (byte == '\n' || byte == '\t' || (byte >= ' ' && byte <= '~'))
        putc(byte, out);
    else
        fprintf(out, "\\x%02x", (unsigned char)byte);
}

/* Under the lock. */
static void end_line(struct terminal *terminal)
{
    if (terminal->open != 0)
        putc('\n', terminal->out);
    terminal->open = 0;
}

static void put_text(struct terminal *terminal, unsigned int source, const char *name,
                     const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (terminal->open != source + 1) {
            end_line(terminal);
            put_prefix(terminal, source, name);
            terminal->open = source + 1;
        }
        put_byte(terminal->out, text[i]);
        if (text[i] == '\n')
            terminal->open = 0;
    }
}

void terminal_write(void *context, unsigned int source, const char *name, const char *text,
                    size_t length)
{
    static const char notice[] = "(it writes on; no more of it is shown)\n";
    struct terminal *terminal = context;
    size_t left;

    if (terminal->silent)
        return;
    if (source >= SOURCE_SCRIPT)
        source = SOURCE_SCRIPT - 1;
    pthread_mutex_lock(&terminal->lock);
    left = TERMINAL_CAP - terminal->shown[source];
    if (left > 0) {
        put_text(terminal, source, name, text, length < left ? length : left);
        terminal->shown[source] += length < left ? length : left;
        if (length >= left) {
            end_line(terminal);
            put_text(terminal, source, name, notice, sizeof(notice) - 1);
        }
        fflush(terminal->out);
    }
    pthread_mutex_unlock(&terminal->lock);
}

void terminal_print(void *context, const char *text, size_t length)
{
    struct terminal *terminal = context;

    pthread_mutex_lock(&terminal->lock);
    take_back(terminal);
    put_text(terminal, SOURCE_SCRIPT, "", text, length);
    fflush(terminal->out);
    pthread_mutex_unlock(&terminal->lock);
}

void terminal_end_line(struct terminal *terminal)
{
    pthread_mutex_lock(&terminal->lock);
    end_line(terminal);
    fflush(terminal->out);
    pthread_mutex_unlock(&terminal->lock);
}
