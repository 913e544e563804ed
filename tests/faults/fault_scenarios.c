/* SPDX-License-Identifier: Apache-2.0 */
#include "fault_scenarios.h"

#include <errno.h>

#define STATUS(n) (1U << (n))
#define ALL       1000 /* from there on */

#define TEXT_PLAIN                                                                 \
    "local s = mezz.stack { memory = '64M' }\n"                                    \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M',\n"                 \
    "    cmdline = 'exits=callback' }\n"                                           \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n" \
    "    programs = { 'hello.elf' } }\n"                                           \
    "local r = s:run { timeout = '20s' }\n"                                        \
    "print(r.status)\n"                                                            \
    "mezz.expect(tiny.console:find 'hello from ring 3', 'the guest ran')\n"

#define TEXT_PORTIONS                                                                      \
    "local s = mezz.stack { memory = '64M' }\n"                                            \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M',\n"                         \
    "    cmdline = 'exits=callback' }\n"                                                   \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"         \
    "    programs = { 'vault.elf 1' } }\n"                                                 \
    "tiny:protect { program = 'vault.elf', portion = 'vault',\n"                           \
    "    sections = { '.vault', '.secret' }, entries = { 'vault_sign', 'vault_check' },\n" \
    "    rules = '" FAULT_RULES "', on_refusal = 'kill' }\n"                               \
    "s:run { timeout = '20s' }\n"                                                          \
    "mezz.expect(tiny.console:find '4 of 4 answers are right' and\n"                       \
    "    tiny.portions.entries > 0 and tiny.portions.refused == 0,\n"                      \
    "    'the portion was entered and answered')\n"

#define TEXT_GUARD(engine)                                                                   \
    "local s = mezz.stack { memory = '64M' }\n"                                              \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M',\n"                           \
    "    cmdline = 'exits=callback' }\n"                                                     \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"           \
    "    engine = '" engine "', programs = { 'libapi.elf', 'agent.elf', 'denied.elf' } }\n"  \
    "tiny:guard { library = 'libapi.elf', agent = 'agent.elf',\n"                            \
    "    functions = { api_open = { args = { 'cstring', 'value' } } } }\n"                   \
    "local events = 0\n"                                                                     \
    "tiny:on('guard', function(e) events = events + 1 end)\n"                                \
    "s:run { timeout = '20s' }\n"                                                            \
    "mezz.expect(events == 3 and tiny.guarded.calls == 3 and tiny.guarded.denied == 1 and\n" \
    "    tiny.guarded.refusals.killed == 1, 'each call was judged')\n"

/* As e2e_portions has it: what the guest writes to load bulk.elf goes round a dirty ring. */
#define TEXT_RINGS                                                                          \
    "local s = mezz.stack { memory = '64M' }\n"                                             \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M' }\n"                         \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"          \
    "    programs = { 'vault.elf 1', 'bulk.elf' } }\n"                                      \
    "tiny:protect { program = 'vault.elf', portion = 'vault',\n"                            \
    "    sections = { '.vault', '.secret' }, entries = { 'vault_sign', 'vault_check' } }\n" \
    "s:run { timeout = '20s' }\n"                                                           \
    "mezz.expect(tiny.console:find '300 of 300 pages are right', 'the large program ran')\n"

/* An L1 of the tests that makes views of an L2, has them switched, edits and unmakes them. */
#define TEXT_VIEWS(engine, l1, group, vcpus)                                   \
    "local s = mezz.stack { memory = '64M' }\n"                                \
    "local l1 = s:l1 { image = '" l1 "', memory = '48M', vcpus = " vcpus ",\n" \
    "    cmdline = 'group=" group "' }\n"                                      \
    "l1:l2 { name = '" group "', image = 'tiny-os.elf', memory = '2M',\n"      \
    "    engine = '" engine "' }\n"                                            \
    "local r = s:run { timeout = '20s' }\n"                                    \
    "mezz.expect(r.status == 'done', 'L1 found all as it has to be')\n"

#define HELD       "1 of 1 expectations held"
#define WRITES     "--json", "out.json", "--trace", "trace.json"
#define WRITES_LOG WRITES, "--log", "run.log"

/* A fault of the host is 3; one that L1 learns of as an error code is 4, as L1 ends the machine
 * then; a file that cannot be read is 2. */
#define HOST    STATUS(3)
#define HOST_L1 (STATUS(3) | STATUS(4))
#define FILES   (STATUS(2) | STATUS(3))

static const struct fault_kind run_kinds[] = {
    {INJECT_MEMORY, ENOMEM, 1, HOST_L1},
    {INJECT_MEMORY, ENOMEM, ALL, HOST_L1},
    {INJECT_MMAP, ENOMEM, 1, HOST_L1},
    {INJECT_IOCTL, ENOMEM, 1, HOST_L1},
    {INJECT_IOCTL, EINVAL, ALL, HOST_L1},
    {INJECT_RUN, EFAULT, 1, HOST},
    {INJECT_RUN, EINTR, 1, 0},
    {INJECT_RESET, EIO, 1, HOST_L1},
    {INJECT_FILE, EIO, 1, FILES},
    {INJECT_FILE, EMFILE, ALL, FILES},
    {INJECT_THREAD, EAGAIN, 1, HOST_L1},
};
static const struct fault_kind info_kinds[] = {
    {INJECT_MEMORY, ENOMEM, 1, HOST}, {INJECT_MEMORY, ENOMEM, ALL, HOST},
    {INJECT_MMAP, ENOMEM, 1, HOST},   {INJECT_IOCTL, ENOMEM, 1, HOST},
    {INJECT_RUN, EFAULT, 1, HOST},    {INJECT_FILE, EIO, 1, HOST},
    {INJECT_THREAD, EAGAIN, 1, HOST},
};

/* A KVM that does not take back what was read of its rings. */
static const struct fault_kind ring_kinds[] = {
    {INJECT_RESET, EIO, 1, HOST_L1},
    {INJECT_RESET, EIO, ALL, HOST_L1},
};

#define KINDS(list) .kinds = list, .kind_count = sizeof(list) / sizeof((list)[0])

/* A run without a cage is one process, in which leaks are seen. */
#define OPEN(NAME, TEXT, PLAIN, ...)                                                            \
    {                                                                                           \
        .name = NAME, .stack = TEXT, .json = "out.json", .whole = HELD, .plain = PLAIN,         \
        .words = {"run", "t.lua", "--no-cage", WRITES_LOG, NULL}, KINDS(run_kinds), __VA_ARGS__ \
    }
#define CAGED(NAME, TEXT, PLAIN, ...)                                                              \
    {                                                                                              \
        .name = NAME " in its cage", .stack = TEXT, .json = "out.json", .whole = HELD,             \
        .plain = PLAIN, .words = {"run", "t.lua", WRITES_LOG, NULL}, KINDS(run_kinds), __VA_ARGS__ \
    }

static const struct fault_scenario info = {.name = "info",
                                           .json = "info.json",
                                           .whole = "",
                                           .words = {"info", "--json", "info.json", NULL},
                                           KINDS(info_kinds)};
static const struct fault_scenario plain = OPEN("run", TEXT_PLAIN, NULL);
static const struct fault_scenario caged = CAGED("run", TEXT_PLAIN, NULL);
static const struct fault_scenario portions = OPEN("portions", TEXT_PORTIONS, &plain);
static const struct fault_scenario caged_portions = CAGED("portions", TEXT_PORTIONS, &caged);
static const struct fault_scenario rings = {
    .name = "rings",
    .stack = TEXT_RINGS,
    .json = "out.json",
    .whole = HELD,
    .words = {"run", "t.lua", "--no-cage", WRITES, NULL},
    KINDS(ring_kinds),
};
static const struct fault_scenario guard_flip = OPEN("guard", TEXT_GUARD("flip"), &plain);
static const struct fault_scenario guard_remap =
    OPEN("guard, remap", TEXT_GUARD("remap"), &guard_flip);
static const struct fault_scenario guard_slots =
    OPEN("guard, slots", TEXT_GUARD("slots"), &guard_flip);
static const struct fault_scenario caged_guard = CAGED("guard", TEXT_GUARD("flip"), &caged);
static const struct fault_scenario views_flip =
    OPEN("views", TEXT_VIEWS("flip", "conformance_l1.elf", "views", "1"), &plain);
static const struct fault_scenario views_remap =
    OPEN("views, remap", TEXT_VIEWS("remap", "conformance_l1.elf", "views", "1"), &views_flip);
static const struct fault_scenario views_slots =
    OPEN("views, slots", TEXT_VIEWS("slots", "conformance_l1.elf", "views", "1"), &views_flip);
static const struct fault_scenario caged_views =
    CAGED("views", TEXT_VIEWS("flip", "conformance_l1.elf", "views", "1"), &caged);
static const struct fault_scenario pair =
    OPEN("two vCPUs", TEXT_VIEWS("flip", "pair_l1.elf", "sibling-views", "2"), &views_flip,
         .waits = true);
static const struct fault_scenario caged_pair =
    CAGED("two vCPUs", TEXT_VIEWS("flip", "pair_l1.elf", "sibling-views", "2"), &caged_views,
          .waits = true);

const struct fault_scenario *const fault_scenarios[] = {
    &plain,       &caged,       &info,        &portions,   &caged_portions, &guard_flip,
    &guard_remap, &guard_slots, &caged_guard, &views_flip, &views_remap,    &views_slots,
    &caged_views, &pair,        &caged_pair,  &rings,
};
const size_t fault_scenario_count = sizeof(fault_scenarios) / sizeof(fault_scenarios[0]);
