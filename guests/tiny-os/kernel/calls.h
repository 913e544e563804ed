/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINY_KERNEL_CALLS_H
#define TINY_KERNEL_CALLS_H

struct frame;

/* Serves the current process's call; frame is its frame, RIP already behind the instruction. */
void call_dispatch(struct frame *frame);

#endif
