/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/portions/kept_space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/hot.h"
#include "vmm/l2.h"
#include "vmm/vmcs/x86.h"

#define INLINE       static inline __attribute__((always_inline))

#define ENTRIES      512U /* of a table */
#define LINE         64U  /* bytes */
#define TABLE_LINES  (PAGE_SIZE / LINE)
#define TABLES_LIMIT 64U
#define WORDS_LIMIT  256U
#define PIECES_LIMIT 8U
#define BYTES_LIMIT  (2 * PAGE_SIZE) /* of all pieces */
#define LINES_LIMIT  2048U

typedef uint64_t words __attribute__((vector_size(32), may_alias, aligned(1)));

/* Of a table most lines have nothing; those that have are kept, one table's behind the other's. */
struct kept_table {
    const uint8_t *at;
    uint64_t filled; /* a bit for each */
    size_t lines;    /* that were looked at */
};

struct kept_word {
    const uint64_t *at;
    uint64_t entry;
};

struct kept_piece {
    const uint8_t *at;
    size_t length;
    size_t copy; /* where among the bytes */
};

struct descriptor_table {
    uint64_t base;
    uint64_t limit;
};

/* What the outcome comes of, but for what lies in memory. */
struct kept_of {
    uint64_t cr3;
    uint64_t version;
    uint64_t eptp;
    uint64_t changes; /* space_changes(): where the tables lie */
    uint64_t paging;  /* CR0.PG */
    uint64_t cr4;
    uint64_t efer;
    struct descriptor_table idt;
    struct descriptor_table gdt;
    uint64_t tss;
    uint64_t lstar;
    uint64_t cstar;
    uint64_t sysenter_cs;
    uint64_t sysenter_eip;
};

_Static_assert(sizeof(struct kept_of) == 16 * sizeof(uint64_t), "no padding, which is compared");

struct kept_space {
    struct kept_of of;
    bool holds;
    bool overflowed;
    size_t tables;
    size_t lines;
    size_t words;
    size_t pieces;
    size_t bytes;
    struct kept_piece piece[PIECES_LIMIT];
    struct kept_table table[TABLES_LIMIT];
    struct kept_word word[WORDS_LIMIT];
    uint64_t physical[WORDS_LIMIT]; /* of each word */
    uint8_t byte[BYTES_LIMIT];
    uint8_t line[LINES_LIMIT][LINE];
};

struct kept_space *kept_space_create(void)
{
    struct kept_space *kept = malloc(sizeof(*kept));

    if (kept != NULL)
        kept->holds = false;
    return kept;
}

void kept_space_destroy(struct kept_space *kept)
{
    free(kept);
}

INLINE struct kept_of what_for(const struct guest_memory *memory, uint64_t cr3, uint64_t version)
{
    const struct l2_vcpu *vcpu = memory->vcpu;
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;
    const struct mezz_vmcs12_msrs *msrs = &vcpu->msr_shadow;

    return (struct kept_of){.cr3 = cr3,
                            .version = version,
                            .eptp = vcpu->place.eptp,
                            .changes = space_changes(vcpu->l2->space),
                            .paging = memory->paging.cr0 & CR0_PG,
                            .cr4 = memory->paging.cr4,
                            .efer = memory->paging.efer,
                            .idt = {sregs->idt.base, sregs->idt.limit},
                            .gdt = {sregs->gdt.base, sregs->gdt.limit},
                            .tss = sregs->tr.base,
                            .lstar = msrs->lstar,
                            .cstar = msrs->cstar,
                            .sysenter_cs = msrs->sysenter_cs,
                            .sysenter_eip = msrs->sysenter_eip};
}

void kept_space_begin(struct kept_space *kept, const struct guest_memory *memory, uint64_t cr3,
                      uint64_t version)
{
    kept->of = what_for(memory, cr3, version);
    kept->holds = false;
    kept->overflowed = false;
    kept->tables = kept->lines = kept->words = kept->pieces = kept->bytes = 0;
}

void kept_space_end(struct kept_space *kept)
{
    kept->holds = !kept->overflowed;
}

void kept_space_drop(struct kept_space *kept)
{
    kept->holds = false;
}

/* --- noting --- */

/* Where it lies, which is not kept if it lies nowhere: it may lie somewhere later. */
static const void *find(struct kept_space *kept, const struct guest_memory *memory,
                        uint64_t physical)
{
    const void *at = guest_memory_at(memory, physical);

    if (at == NULL && kept != NULL)
        kept->overflowed = true;
    return at;
}

/* Of what other vCPUs may write meanwhile there is one copy, from which everything else is taken:
 * no compiler may go back to the memory. */
static void copy_once(void *to, const void *from, size_t length)
{
    memcpy(to, from, length);
    __asm__ volatile("" ::: "memory");
}

int kept_space_read_entry(struct kept_space *kept, const struct guest_memory *memory,
                          uint64_t physical, uint64_t *entry)
{
    const uint64_t *at;

    for (size_t i = 0; kept != NULL && i < kept->words; i++)
        if (kept->physical[i] == physical) {
            *entry = kept->word[i].entry;
            return 0;
        }
    at = find(kept, memory, physical);
    if (at == NULL)
        return -EFAULT;
    *entry = __atomic_load_n(at, __ATOMIC_RELAXED);
    if (kept == NULL)
        return 0;
    if (kept->words == WORDS_LIMIT) {
        kept->overflowed = true;
        return 0;
    }
    kept->physical[kept->words] = physical;
    kept->word[kept->words++] = (struct kept_word){at, *entry};
    return 0;
}

static bool is_empty(const uint64_t *entries)
{
    uint64_t any = 0;

    for (size_t i = 0; i < LINE / sizeof(*entries); i++)
        any |= entries[i];
    return any == 0;
}

static void note_table(struct kept_space *kept, const uint8_t *at, const uint64_t *entries,
                       size_t lines)
{
    struct kept_table *table = &kept->table[kept->tables];

    if (kept->tables == TABLES_LIMIT || kept->lines + lines > LINES_LIMIT) {
        kept->overflowed = true;
        return;
    }
    kept->tables++;
    *table = (struct kept_table){.at = at, .lines = lines};
    for (size_t i = 0; i < lines; i++, entries += LINE / sizeof(*entries))
        if (!is_empty(entries)) {
            memcpy(kept->line[kept->lines++], entries, LINE);
            table->filled |= 1ULL << i;
        }
}

int kept_space_read_table(struct kept_space *kept, const struct guest_memory *memory,
                          uint64_t physical, uint64_t *entries, size_t count)
{
    const uint8_t *at = find(kept, memory, physical);

    if (at == NULL)
        return -EFAULT;
    copy_once(entries, at, count * sizeof(*entries));
    if (kept != NULL && !kept->overflowed)
        note_table(kept, at, entries, count * sizeof(*entries) / LINE);
    return 0;
}

int kept_space_read_bytes(struct kept_space *kept, const struct guest_memory *memory,
                          uint64_t physical, void *to, size_t length)
{
    const uint8_t *at = find(kept, memory, physical);

    if (at == NULL)
        return -EFAULT;
    copy_once(to, at, length);
    if (kept == NULL || kept->overflowed)
        return 0;
    if (kept->pieces == PIECES_LIMIT || length > BYTES_LIMIT - kept->bytes) {
        kept->overflowed = true;
        return 0;
    }
    kept->piece[kept->pieces++] = (struct kept_piece){at, length, kept->bytes};
    memcpy(kept->byte + kept->bytes, to, length);
    kept->bytes += length;
    return 0;
}

/* --- comparing --- */

#define GROUP 8U /* lines */

_Static_assert(TABLE_LINES % GROUP == 0 && ENTRIES * sizeof(uint64_t) / 2 / LINE % GROUP == 0,
               "a table's lines, and those of half a one, are groups");

/* Returns the first line behind the table's. */
INLINE const uint8_t *compare_table(words *differ, const struct kept_table *table,
                                    const uint8_t *line)
{
    for (size_t i = 0; i < table->lines; i += GROUP) {
        const words *at = (const words *)(table->at + i * LINE);
        const unsigned int filled = (unsigned int)(table->filled >> i) & ((1U << GROUP) - 1);

        if (filled == 0) {
            *differ |= at[0] | at[1] | at[2] | at[3] | at[4] | at[5] | at[6] | at[7];
            *differ |= at[8] | at[9] | at[10] | at[11] | at[12] | at[13] | at[14] | at[15];
            continue;
        }
        for (unsigned int j = 0; j < GROUP; j++, at += 2) {
            const words *copy = (const words *)line;

            if (!(filled >> j & 1)) {
                *differ |= at[0] | at[1];
                continue;
            }
            *differ |= (at[0] ^ copy[0]) | (at[1] ^ copy[1]);
            line += LINE;
        }
    }
    return line;
}

INLINE bool is_other(const uint8_t *a, const uint8_t *b, size_t length)
{
    words differ = {0};

    if (length < sizeof(words))
        return memcmp(a, b, length) != 0;
    for (size_t i = 0; i + sizeof(words) <= length; i += sizeof(words))
        differ |= *(const words *)(a + i) ^ *(const words *)(b + i);
    /* The rest, and some that has been compared. */
    a += length - sizeof(words);
    b += length - sizeof(words);
    differ |= *(const words *)a ^ *(const words *)b;
    return (differ[0] | differ[1] | differ[2] | differ[3]) != 0;
}

INLINE bool is_same(const struct kept_space *kept)
{
    const uint8_t *line = kept->line[0];
    uint64_t other = 0;
    words differ = {0};

    for (size_t i = 0; i < kept->words; i++)
        other |= __atomic_load_n(kept->word[i].at, __ATOMIC_RELAXED) ^ kept->word[i].entry;
    for (size_t i = 0; i < kept->tables; i++)
        line = compare_table(&differ, &kept->table[i], line);
    other |= differ[0] | differ[1] | differ[2] | differ[3];
    if ((other & ~KEPT_WALK_NOTES) != 0)
        return false;
    for (size_t i = 0; i < kept->pieces; i++)
        if (is_other(kept->piece[i].at, kept->byte + kept->piece[i].copy, kept->piece[i].length))
            return false;
    return true;
}

/* With vectors of 32 bytes, and with those that every processor has. */
__attribute__((target("avx2"), noinline)) HOT static bool
is_same_wide(const struct kept_space *kept)
{
    return is_same(kept);
}

__attribute__((noinline)) HOT static bool is_same_plain(const struct kept_space *kept)
{
    return is_same(kept);
}

HOT bool kept_space_same(const struct kept_space *kept, const struct guest_memory *memory,
                         uint64_t cr3, uint64_t version)
{
    const struct kept_of now = what_for(memory, cr3, version);

    return kept->holds && memcmp(&kept->of, &now, sizeof(now)) == 0 &&
           (__builtin_cpu_supports("avx2") ? is_same_wide(kept) : is_same_plain(kept));
}
