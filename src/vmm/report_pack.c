/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/report.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC      0x74726f706572696dULL
#define COUNT_MAX  4096U
#define TEXT_BYTES SIZE_MAX

/*
 * What a report points to is a list of pieces, each a block of bytes of its own. each_piece() knows
 * them all; to copy, to send and to free a report is to do something with each of them.
 *
 * size: of the block; TEXT_BYTES: it is a text that NUL ends. What a visitor cannot do with one
 * piece it remembers in its context, and it leaves a NULL there.
 */
typedef void piece_visitor(void *context, const void **piece, size_t size);

static void visit_l2(struct l2_report *l2, piece_visitor *visit, void *context)
{
    const void **callbacks = (const void **)&l2->callbacks;

    visit(context, (const void **)&l2->name, TEXT_BYTES);
    visit(context, (const void **)&l2->last_words, TEXT_BYTES);
    visit(context, (const void **)&l2->console.text, l2->console.length);
    visit(context, callbacks, l2->callback_count * sizeof(*l2->callbacks));
}

/* Calls visit on every piece; on that of the L2s before what these point to. */
static void each_piece(struct machine_report *report, piece_visitor *visit, void *context)
{
    visit(context, (const void **)&report->last_words, TEXT_BYTES);
    visit(context, (const void **)&report->l1.console.text, report->l1.console.length);
    visit(context, (const void **)&report->l2, report->l2_count * sizeof(*report->l2));
}

static struct l2_report *l2_of(const struct machine_report *report)
{
    return (struct l2_report *)(uintptr_t)report->l2;
}

struct packing {
    FILE *out;
};

static void pack_piece(void *context, const void **piece, size_t size)
{
    struct packing *packing = context;
    uint64_t length = size;

    if (*piece == NULL)
        length = size == TEXT_BYTES ? 1 : 0;
    else if (size == TEXT_BYTES)
        length = strlen(*piece) + 1;
    fwrite(&length, sizeof(length), 1, packing->out);
    fwrite(*piece != NULL ? *piece : "", 1, length, packing->out);
}

void *report_pack(const struct machine_report *report, size_t *length)
{
    static const uint64_t magic = MAGIC;
    struct machine_report whole = *report;
    struct packing packing;
    char *bytes = NULL;
    bool failed;

    packing.out = open_memstream(&bytes, length);
    if (packing.out == NULL)
        return NULL;
    fwrite(&magic, sizeof(magic), 1, packing.out);
    fwrite(report, sizeof(*report), 1, packing.out);
    each_piece(&whole, pack_piece, &packing);
    for (unsigned int i = 0; i < report->l2_count; i++) {
        struct l2_report l2 = report->l2[i];

        visit_l2(&l2, pack_piece, &packing);
    }
    failed = ferror(packing.out) != 0;
    if (fclose(packing.out) != 0 || failed) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

struct unpacking {
    const uint8_t *bytes;
    size_t left;
    int code;
};

static bool take(struct unpacking *from, void *to, size_t length)
{
    if (from->code == 0 && length > from->left)
        from->code = -EBADMSG;
    if (from->code != 0)
        return false;
    memcpy(to, from->bytes, length);
    from->bytes += length;
    from->left -= length;
    return true;
}

/* Every piece gets a NUL behind it: a console's text, too, may be taken for a string. */
static void unpack_piece(void *context, const void **piece, size_t size)
{
    struct unpacking *from = context;
    uint64_t length;
    char *copy;

    *piece = NULL;
    if (!take(from, &length, sizeof(length)))
        return;
    if (length > from->left || (size != TEXT_BYTES && length != size)) {
        from->code = -EBADMSG;
        return;
    }
    copy = malloc((size_t)length + 1);
    if (copy == NULL) {
        from->code = -ENOMEM;
        return;
    }
    take(from, copy, (size_t)length);
    copy[length] = '\0';
    *piece = copy;
}

static void forget_piece(void *context, const void **piece, size_t size)
{
    (void)context;
    (void)size;
    *piece = NULL;
}

static void free_piece(void *context, const void **piece, size_t size)
{
    (void)context;
    (void)size;
    free((void *)(uintptr_t)*piece);
}

/* It becomes the exit status: only what mezz itself is stopped by. */
static bool stops(int signal_number)
{
    return signal_number == SIGINT || signal_number == SIGTERM || signal_number == SIGHUP ||
           signal_number == SIGPIPE;
}

/* Numbers that others index tables by, and a length that would be taken for TEXT_BYTES. */
static bool is_sound(const struct machine_report *report)
{
    return (report->end != MACHINE_STOPPED || stops(report->signal_number)) &&
           report->end >= MACHINE_DONE && report->end <= MACHINE_HOST &&
           report->l2_count <= COUNT_MAX && report->l1.console.length != TEXT_BYTES;
}

static bool l2_is_sound(const struct l2_report *l2)
{
    return l2->end >= L2_RUNNING && l2->end <= L2_DIED && l2->callback_count <= COUNT_MAX &&
           l2->console.length != TEXT_BYTES;
}

/* It is shown as it is: names in it are of stack files, and those have nothing but this. */
static void mend_text(char *text, size_t size)
{
    text[size - 1] = '\0';
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

/* One byte of two values, whatever came. */
static void mend_bool(bool *value)
{
    unsigned char byte;

    memcpy(&byte, value, sizeof(byte));
    *value = byte != 0;
}

static void unpack_l2s(struct machine_report *report, struct unpacking *from)
{
    struct l2_report *l2 = l2_of(report);

    if (l2 == NULL)
        report->l2_count = 0;
    for (unsigned int i = 0; i < report->l2_count; i++) {
        visit_l2(&l2[i], forget_piece, NULL);
        mend_bool(&l2[i].portions.declared);
        mend_bool(&l2[i].guard.declared);
    }
    for (unsigned int i = 0; i < report->l2_count && from->code == 0; i++) {
        if (l2_is_sound(&l2[i]))
            visit_l2(&l2[i], unpack_piece, from);
        else
            from->code = -EBADMSG;
    }
}

int report_unpack(struct machine_report *report, const void *bytes, size_t length)
{
    struct unpacking from = {.bytes = bytes, .left = length};
    uint64_t magic = 0;

    *report = (struct machine_report){.l2 = NULL};
    if (!take(&from, &magic, sizeof(magic)) || magic != MAGIC ||
        !take(&from, report, sizeof(*report)) || !is_sound(report)) {
        *report = (struct machine_report){.l2 = NULL};
        return -EBADMSG;
    }
    mend_text(report->error.text, sizeof(report->error.text));
    each_piece(report, unpack_piece, &from);
    unpack_l2s(report, &from);
    if (from.code == 0 && from.left != 0)
        from.code = -EBADMSG;
    if (from.code != 0)
        report_release(report);
    return from.code;
}

int report_copy(struct machine_report *to, const struct machine_report *from)
{
    size_t length;
    void *bytes = report_pack(from, &length);
    int code = -ENOMEM;

    if (bytes != NULL)
        code = report_unpack(to, bytes, length);
    free(bytes);
    return code;
}

void report_release(struct machine_report *report)
{
    for (unsigned int i = 0; i < report->l2_count; i++)
        visit_l2(&l2_of(report)[i], free_piece, NULL);
    each_piece(report, free_piece, NULL);
    *report = (struct machine_report){.l2 = NULL};
}
