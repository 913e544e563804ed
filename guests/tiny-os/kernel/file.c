/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/file.h"

#include "kernel/memory.h"
#include "kernel/process.h"

#include <stddef.h>
#include <string.h>

static struct memory_file files[TINY_FILES];

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* The file of this name or, if none has it, the first free entry; NULL if all are taken. */
static struct memory_file *entry_for(const char *name)
{
    for (unsigned i = 0; i < TINY_FILES; i++) {
        if (!files[i].page || same(files[i].name, name)) {
            return &files[i];
        }
    }
    return NULL;
}

static int64_t find_file(const char *name, bool create, struct memory_file **found)
{
    struct memory_file *file = entry_for(name);

    if (!file || !file->page) {
        if (!create) {
            return -TINY_ENOENT;
        }
        if (!file) {
            return -TINY_ENFILE;
        }
        file->page = page_for_kernel();
        if (!file->page) {
            return -TINY_ENOMEM;
        }
        memcpy(file->name, name, sizeof(file->name));
    }
    *found = file;
    return 0;
}

int64_t file_open(uint64_t name, uint64_t length, uint64_t flags)
{
    char copy[TINY_NAME_MAX + 1] = {0};
    unsigned slot = 0;

    if (!length || length > TINY_NAME_MAX || flags > (TINY_OPEN_CREATE | TINY_OPEN_EMPTY)) {
        return -TINY_EINVAL;
    }
    int64_t error = copy_from_user(copy, name, length);
    if (error) {
        return error;
    }
    struct handle *handles = process_current()->handles;
    while (slot < TINY_HANDLES && handles[slot].file) {
        slot++;
    }
    if (slot == TINY_HANDLES) {
        return -TINY_ENFILE;
    }
    error = find_file(copy, flags & TINY_OPEN_CREATE, &handles[slot].file);
    handles[slot].offset = 0;
    if (error) {
        return error;
    }
    if (flags & TINY_OPEN_EMPTY) {
        handles[slot].file->size = 0;
    }
    return (int64_t)slot;
}

static struct handle *opened(uint64_t handle)
{
    struct handle *h = handle < TINY_HANDLES ? &process_current()->handles[handle] : NULL;

    return h && h->file ? h : NULL;
}

int64_t file_read(uint64_t handle, uint64_t to, uint64_t length)
{
    struct handle *h = opened(handle);

    if (!h) {
        return -TINY_EBADF;
    }
    uint64_t left = h->offset < h->file->size ? h->file->size - h->offset : 0;
    uint64_t n = length < left ? length : left;
    int64_t error = copy_to_user(to, h->file->page + h->offset, n);
    if (error) {
        return error;
    }
    h->offset += n;
    return (int64_t)n;
}

int64_t file_store(uint64_t handle, uint64_t from, uint64_t length)
{
    struct handle *h = opened(handle);

    if (!h) {
        return -TINY_EBADF;
    }
    if (length > TINY_FILE_MAX - h->offset) {
        return -TINY_EFBIG;
    }
    static char bytes[TINY_FILE_MAX]; /* all or nothing gets into the file */
    int64_t error = copy_from_user(bytes, from, length);
    if (error) {
        return error;
    }
    if (h->file->size < h->offset) { /* it was emptied since */
        memset(h->file->page + h->file->size, 0, h->offset - h->file->size);
    }
    memcpy(h->file->page + h->offset, bytes, length);
    h->offset += length;
    if (h->file->size < h->offset) {
        h->file->size = h->offset;
    }
    return (int64_t)length;
}

int64_t file_close(uint64_t handle)
{
    struct handle *h = opened(handle);

    if (!h) {
        return -TINY_EBADF;
    }
    h->file = NULL;
    return 0;
}

int64_t message_send(uint64_t pid, uint64_t from, uint64_t length)
{
    struct process *receiver = process_living(pid);

    if (!length || length > TINY_MESSAGE_MAX) {
        return -TINY_EINVAL;
    }
    if (!receiver) {
        return -TINY_ENOENT;
    }
    if (!receiver->mail) {
        receiver->mail = page_for_kernel();
    }
    if (!receiver->mail) {
        return -TINY_ENOMEM;
    }
    if (receiver->mail->size) {
        return -TINY_EAGAIN;
    }
    int64_t error = copy_from_user(receiver->mail->bytes, from, length);
    if (!error) {
        receiver->mail->size = length;
    }
    return error;
}

int64_t message_receive(uint64_t to, uint64_t length)
{
    struct message *mail = process_current()->mail;

    if (!mail || !mail->size) {
        return -TINY_EAGAIN;
    }
    if (length < mail->size) {
        return -TINY_EINVAL;
    }
    int64_t error = copy_to_user(to, mail->bytes, mail->size);
    if (error) {
        return error;
    }
    int64_t size = (int64_t)mail->size;
    mail->size = 0;
    return size;
}
