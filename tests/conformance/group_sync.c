/* SPDX-License-Identifier: Apache-2.0 */
/* Records of VMCS fields: what the root altered when it handled an exit by itself. */
#include "groups.h"
#include "kit.h"

KIT_CODE_AFTER(sync_out, "outb %al, $0x80\n" KIT_AFTER(sync_out) "hlt");
KIT_CODE_AFTER(sync_wrmsr,
               "movl $0xc0000102, %ecx\n movl $0x4321, %eax\n xorl %edx, %edx\n wrmsr\n" KIT_AFTER(
                   sync_wrmsr) "hlt");

static struct kit_guest guest;

static const struct mezz_sync_record *find(const struct mezz_sync_record *record, uint32_t count,
                                           uint64_t key)
{
    for (uint32_t i = 0; i < count && i < MEZZ_SYNC_RECORDS; i++)
        if (record[i].object == MEZZ_SYNC_VMCS && record[i].key == key)
            return &record[i];
    return NULL;
}

/* An OUT that the root serves: an observer's VMCS12 follows by the record of RIP. */
static void rip(void)
{
    struct kit_callback callback;
    const struct mezz_sync_record *record;

    KIT_LABEL("RIP of an OUT that the root serves");
    kit_open(&guest, KIT_LONG, sync_out);
    guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
    kit_callback_init(&callback, &guest, MEZZ_EXIT_IO);
    callback.registration.mode = MEZZ_MODE_OBSERVE;
    kit_register(&callback);
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("observed", callback.fired, 1);
    CHECK_EQ("the frame's RIP is behind it", callback.frame->regs.guest_rip,
             kit_address(sync_out_after));
    record =
        find(callback.frame->sync, callback.frame->sync_count, MEZZ_VMCS12_FIELD(regs.guest_rip));
    /* Some KVMs have advanced RIP before the exit: then the root altered nothing. */
    CHECK("a record leads to it, if there is one",
          record == NULL || record->to == kit_address(sync_out_after));
    kit_unregister(&callback);
    kit_close(&guest);
}

static void msr(bool observed)
{
    struct kit_callback callback;
    const struct mezz_sync_record *record;

    KIT_LABEL(observed ? "an MSR's shadow, observed" : "an MSR's shadow");
    kit_open(&guest, KIT_LONG, sync_wrmsr);
    guest.vmcs->controls.exit_controls = MEZZ_VMEXIT_SAVE_MSRS;
    kit_callback_init(&callback, &guest, MEZZ_EXIT_WRMSR);
    callback.registration.mode = MEZZ_MODE_OBSERVE;
    if (observed)
        kit_register(&callback);
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    record = observed ? find(callback.frame->sync, callback.frame->sync_count,
                             MEZZ_VMCS12_FIELD(msrs.kernel_gs_base))
                      : find(guest.vmcs->sync.record, guest.vmcs->sync.count,
                             MEZZ_VMCS12_FIELD(msrs.kernel_gs_base));
    if (CHECK("a record", record != NULL)) {
        CHECK_EQ("from", record->from, 0);
        CHECK_EQ("to", record->to, 0x4321);
    }
    CHECK_EQ("the reflected exit stores the same", guest.vmcs->msrs.kernel_gs_base, 0x4321);
    if (observed) {
        CHECK_EQ("RIP is behind WRMSR", callback.frame->regs.guest_rip,
                 kit_address(sync_wrmsr_after));
        CHECK("no record twice", find(guest.vmcs->sync.record, guest.vmcs->sync.count,
                                      MEZZ_VMCS12_FIELD(msrs.kernel_gs_base)) == NULL);
        kit_unregister(&callback);
    }
    kit_close(&guest);
}

void group_sync(void)
{
    rip();
    msr(false);
    msr(true);
}
