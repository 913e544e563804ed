/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that the root alters: dirty flags and copy on write, and the records that tell L1. */
#include "groups.h"
#include "kit.h"

#define AD        (MEZZ_EPT_ACCESSED | MEZZ_EPT_DIRTY)
#define READ_EXEC (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE)

/* Writes two words of two pages, telling before and after. */
KIT_CODE(paging_write, "movl $0x20000000, %ebx\n outb %al, $0x61\n movq $0x11, (%rbx)\n"
                       "outb %al, $0x62\n movq $0x22, 8(%rbx)\n movq $0x33, 4096(%rbx)\n"
                       "outb %al, $0x63\n 1: movq 8(%rbx), %rax\n hlt\n jmp 1b");
KIT_CODE(paging_many, "movl $0x20000000, %ebx\n movl $20, %ecx\n"
                      "1: movq %rcx, (%rbx)\n addq $4096, %rbx\n decl %ecx\n jnz 1b\n"
                      "hlt\n hlt\n hlt\n");

static struct kit_guest guest;

/* The EPT records of the last reflected exit, by page. */
static const struct mezz_sync_record *record_of(uint64_t page)
{
    const struct mezz_sync_area *sync = &guest.vmcs->sync;

    for (uint32_t i = 0; i < sync->count && i < MEZZ_SYNC_RECORDS; i++)
        if (sync->record[i].object == MEZZ_SYNC_EPT && sync->record[i].key == page)
            return &sync->record[i];
    return NULL;
}

static unsigned int ept_records(void)
{
    const struct mezz_sync_area *sync = &guest.vmcs->sync;
    unsigned int count = 0;

    for (uint32_t i = 0; i < sync->count && i < MEZZ_SYNC_RECORDS; i++)
        count += sync->record[i].object == MEZZ_SYNC_EPT;
    return count;
}

static void apply(void)
{
    const struct mezz_sync_area *sync = &guest.vmcs->sync;

    for (uint32_t i = 0; i < sync->count && i < MEZZ_SYNC_RECORDS; i++)
        if (sync->record[i].object == MEZZ_SYNC_EPT)
            *kit_ept_leaf(guest.pml4, sync->record[i].key) = sync->record[i].to;
}

/* All leaves are dirty but those of the data: only they are of interest. */
static void open_dirty(const char *code)
{
    kit_open(&guest, KIT_LONG, code);
    for (const char *at = kit_l2_start; at < kit_l2_end; at += MEZZ_PAGE_SIZE)
        *kit_ept_leaf(guest.pml4, kit_address(at)) |= AD;
    guest.vmcs->ept.eptp |= MEZZ_EPTP_DIRTY_FLAGS;
}

static void dirty(void)
{
    uint64_t *first, *second, before;

    KIT_LABEL("dirty flags");
    open_dirty(paging_write);
    first = kit_ept_leaf(guest.pml4, KIT_L2_DATA);
    second = kit_ept_leaf(guest.pml4, KIT_L2_DATA + MEZZ_PAGE_SIZE);
    before = *first;
    CHECK_EQ("before the write", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("no records", ept_records(), 0);
    CHECK_EQ("behind the first write", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("no exit of the write", guest.vmcs->exit.qualification >> MEZZ_IO_PORT_SHIFT, 0x62);
    CHECK_EQ("memory", guest.data[0], 0x11);
    CHECK_EQ("one record", ept_records(), 1);
    if (CHECK("of that page", record_of(KIT_L2_DATA) != NULL)) {
        CHECK_EQ("from", record_of(KIT_L2_DATA)->from, before);
        CHECK_EQ("to", record_of(KIT_L2_DATA)->to, before | AD);
    }
    CHECK_EQ("L1's entry is left alone", *first, before);
    apply();
    CHECK_EQ("applied", *first, before | AD);
    CHECK_EQ("behind the others", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("memory: second word", guest.data[1], 0x22);
    CHECK_EQ("memory: second page", guest.data[512], 0x33);
    CHECK_EQ("one record more", ept_records(), 1);
    CHECK("of the other page", record_of(KIT_L2_DATA + MEZZ_PAGE_SIZE) != NULL);
    apply();
    CHECK_EQ("it is dirty", *second & AD, AD);
    kit_close(&guest);
}

/* Clearing the flags and INVEPT start again. */
static void dirty_again(void)
{
    KIT_LABEL("dirty flags again");
    open_dirty(paging_write);
    kit_enter(&guest);
    kit_enter(&guest);
    CHECK_EQ("a record", ept_records(), 1);
    apply();
    *kit_ept_leaf(guest.pml4, KIT_L2_DATA) &= ~AD;
    kit_invept(&guest);
    CHECK_EQ("behind the second and third write", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("records of both pages", ept_records(), 2);
    CHECK("of the first page once more", record_of(KIT_L2_DATA) != NULL);
    kit_close(&guest);
}

/* More records than one delivery holds come with the next ones, each once. */
static void many(void)
{
    unsigned int seen = 0, deliveries = 0;

    KIT_LABEL("twenty pages");
    open_dirty(paging_many);
    for (unsigned int i = 2; i < 20; i++)
        kit_ept_map(guest.pml4, KIT_L2_DATA + i * MEZZ_PAGE_SIZE, kit_pages(1), MEZZ_EPT_RWX);
    CHECK_EQ("exit", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("as many as fit", guest.vmcs->sync.count, MEZZ_SYNC_RECORDS);
    CHECK("the rest waits", guest.vmcs->sync.more >= 4);
    do {
        seen += ept_records();
        apply();
    } while (guest.vmcs->sync.more > 0 && ++deliveries < 3 && kit_exit(&guest) == MEZZ_EXIT_HLT);
    CHECK_EQ("each page once", seen, 20);
    for (unsigned int i = 0; i < 20; i++)
        seen -= (*kit_ept_leaf(guest.pml4, KIT_L2_DATA + i * MEZZ_PAGE_SIZE) & AD) == AD;
    CHECK_EQ("all are dirty", seen, 0);
    kit_close(&guest);
}

/* Records travel with a callback if one comes first. */
static void by_callback(void)
{
    struct kit_callback callback;
    struct mezz_callback_counters counters;

    KIT_LABEL("records in a frame");
    open_dirty(paging_write);
    kit_callback_init(&callback, &guest, MEZZ_EXIT_IO);
    callback.registration.state_mask = 0;
    kit_condition(&callback, MEZZ_FIELD_PORT, MEZZ_OP_EQ, 0x62, 0);
    kit_register(&callback);
    kit_enter(&guest);
    CHECK_EQ("the third OUT", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("the frame has the first page's", callback.frame->sync_count, 1);
    CHECK_EQ("page", callback.frame->sync[0].key, KIT_L2_DATA);
    CHECK_EQ("the exit has the other's only", ept_records(), 1);
    CHECK("page", record_of(KIT_L2_DATA + MEZZ_PAGE_SIZE) != NULL);
    kit_counters(&callback, &counters);
    CHECK_EQ("counted", counters.sync_records, 1);
    kit_unregister(&callback);
    kit_close(&guest);
}

static void copy_on_write(void)
{
    uint64_t *frames = kit_pages(1);
    uint64_t *frame = kit_pages(1);
    uint64_t before;

    KIT_LABEL("copy on write");
    kit_open(&guest, KIT_LONG, paging_write);
    guest.data[1] = 0x7777;
    guest.data[2] = 0x8888;
    before = kit_address(guest.data) | MEZZ_EPT_WRITE_BACK | READ_EXEC | MEZZ_EPT_COPY_ON_WRITE;
    *kit_ept_leaf(guest.pml4, KIT_L2_DATA) = before;
    frames[0] = kit_address(frame);
    CHECK_EQ("FRAME_POOL", mezz_call(MEZZ_CALL_FRAME_POOL, guest.l2, kit_address(frames), 1), 0);
    kit_enter(&guest);
    CHECK_EQ("no exit of the write", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("the page is as it was", guest.data[0], 0);
    CHECK_EQ("the frame has the write", frame[0], 0x11);
    CHECK_EQ("and the rest of the page", frame[2], 0x8888);
    if (CHECK("a record", record_of(KIT_L2_DATA) != NULL)) {
        CHECK_EQ("from", record_of(KIT_L2_DATA)->from, before);
        CHECK_EQ("to", record_of(KIT_L2_DATA)->to, kit_address(frame) | KIT_LEAF);
    }
    apply();
    CHECK_EQ("L2 goes on with the frame", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("the second write", frame[1], 0x22);
    kit_invept(&guest);
    CHECK_EQ("also after INVEPT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("what it reads", guest.vmcs->regs.gpr[MEZZ_RAX], 0x22);
    kit_close(&guest);
    KIT_LABEL("copy on write without a frame");
    kit_open(&guest, KIT_LONG, paging_write);
    *kit_ept_leaf(guest.pml4, KIT_L2_DATA) =
        kit_address(guest.data) | MEZZ_EPT_WRITE_BACK | READ_EXEC | MEZZ_EPT_COPY_ON_WRITE;
    kit_enter(&guest);
    CHECK_EQ("the write exits", kit_exit(&guest), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("page", guest.vmcs->exit.guest_physical_address, KIT_L2_DATA);
    kit_close(&guest);
}

static int64_t give(uint64_t l2, uint64_t list, uint64_t count)
{
    return mezz_call(MEZZ_CALL_FRAME_POOL, l2, list, count);
}

static void pool_errors(void)
{
    uint64_t *list = kit_pages(1);
    uint64_t at = kit_address(list);

    KIT_LABEL("FRAME_POOL");
    list[0] = kit_address(kit_pages(1));
    CHECK_ERROR("L2", give(60, at, 1), MEZZ_E_ID);
    CHECK_ERROR("count 0", give(kit_l2(), at, 0), MEZZ_E_ARGUMENT);
    CHECK_ERROR("count 513", give(kit_l2(), at, 513), MEZZ_E_ARGUMENT);
    CHECK_ERROR("the largest count", give(kit_l2(), at, UINT64_MAX), MEZZ_E_ARGUMENT);
    CHECK_ERROR("list", give(kit_l2(), kit.memory_end, 1), MEZZ_E_ADDRESS);
    list[1] = list[0] + 8;
    CHECK_ERROR("a frame not aligned", give(kit_l2(), at, 2), MEZZ_E_ALIGNMENT);
    list[1] = kit.memory_end;
    CHECK_ERROR("a frame outside", give(kit_l2(), at, 2), MEZZ_E_ADDRESS);
    list[1] = 0xfffffffffffff000;
    CHECK_ERROR("a frame far outside", give(kit_l2(), at, 2), MEZZ_E_ADDRESS);
}

void group_paging(void)
{
    pool_errors();
    dirty();
    dirty_again();
    many();
    by_callback();
    copy_on_write();
}
