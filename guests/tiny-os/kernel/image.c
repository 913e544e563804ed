/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/image.h"

#include "kernel/memory.h"

#include <elf.h>
#include <stddef.h>

static const char *check_header(const struct image *image, const Elf64_Ehdr *header)
{
    if (image->size < sizeof(*header)) {
        return "too short for an ELF header";
    }
    if (header->e_ident[0] != ELFMAG0 || header->e_ident[1] != ELFMAG1 ||
        header->e_ident[2] != ELFMAG2 || header->e_ident[3] != ELFMAG3) {
        return "not an ELF file";
    }
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != EM_X86_64 || header->e_type != ET_EXEC) {
        return "not a static x86-64 ELF executable";
    }
    if (header->e_phentsize != sizeof(Elf64_Phdr)) {
        return "program headers of another size";
    }
    if (header->e_phoff > image->size ||
        header->e_phnum > (image->size - header->e_phoff) / sizeof(Elf64_Phdr)) {
        return "program headers outside the file";
    }
    return NULL;
}

static const char *check_segment(const Elf64_Phdr *p, uint64_t file_size, uint64_t start,
                                 uint64_t end)
{
    if (p->p_filesz > p->p_memsz) {
        return "a segment is larger in the file than in memory";
    }
    if (p->p_offset > file_size || p->p_filesz > file_size - p->p_offset) {
        return "a segment lies outside the file";
    }
    if (p->p_vaddr < start || p->p_vaddr >= end || p->p_memsz > end - p->p_vaddr) {
        return "a segment lies outside the range for programs";
    }
    if ((p->p_offset ^ p->p_vaddr) & (PAGE_SIZE - 1)) {
        return "a segment has file offset and address in different places of a page";
    }
    return NULL;
}

static bool shares_a_page(const struct segment *a, const struct segment *b)
{
    return page_down(a->vaddr) < page_up(b->vaddr + b->memory_size) &&
           page_down(b->vaddr) < page_up(a->vaddr + a->memory_size);
}

static const char *add_segment(struct plan *plan, const Elf64_Phdr *p)
{
    if (plan->n == IMAGE_SEGMENT_MAX) {
        return "too many segments";
    }
    struct segment *new = &plan->segments[plan->n];

    new->vaddr = p->p_vaddr;
    new->memory_size = p->p_memsz;
    new->file_offset = p->p_offset;
    new->file_size = p->p_filesz;
    new->writable = p->p_flags &PF_W;
    new->executable = p->p_flags &PF_X;
    for (unsigned i = 0; i < plan->n; i++) {
        if (shares_a_page(new, &plan->segments[i])) {
            return "two segments share a page";
        }
    }
    plan->n++;
    return NULL;
}

const char *image_plan(const struct image *image, uint64_t start, uint64_t end, struct plan *plan)
{
    const Elf64_Ehdr *header = (const void *)image->bytes;
    const char *why = check_header(image, header);

    if (why) {
        return why;
    }
    bool entry_is_code = false;
    const Elf64_Phdr *p = (const void *)(image->bytes + header->e_phoff);

    plan->n = 0;
    plan->entry = header->e_entry;
    for (unsigned i = 0; i < header->e_phnum; i++, p++) {
        if (p->p_type != PT_LOAD || !p->p_memsz) {
            continue;
        }
        why = check_segment(p, image->size, start, end);
        if (!why) {
            why = add_segment(plan, p);
        }
        if (why) {
            return why;
        }
        entry_is_code |= (p->p_flags & PF_X) && plan->entry - p->p_vaddr < p->p_memsz;
    }
    return entry_is_code ? NULL : "the entry point is not in a code segment";
}

uint64_t image_start(const struct image *image)
{
    const Elf64_Ehdr *header = (const void *)image->bytes;

    if (check_header(image, header)) {
        return 0;
    }
    const Elf64_Phdr *p = (const void *)(image->bytes + header->e_phoff);

    for (unsigned i = 0; i < header->e_phnum; i++, p++) {
        if (p->p_type == PT_LOAD && p->p_memsz) {
            return p->p_vaddr;
        }
    }
    return 0;
}
