/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_ARCHIVE_H
#define L1_ARCHIVE_H

#include "lib/arena.h"
#include "mezz/pvh.h"

/*
 * Boot loaders that know one module only (QEMU's -initrd) give L1 its modules as one newc cpio
 * archive: the name of a file is the module's command line. Each file is copied to pages of its
 * own. The start info that L1 was given if its module is no archive; else *unpacked, with the
 * modules; NULL after it has said what is wrong.
 */
const struct mezz_pvh_start_info *archive_unpack(struct arena *arena,
                                                 const struct mezz_pvh_start_info *info,
                                                 struct mezz_pvh_start_info *unpacked);

#endif
