/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAGE_LANDLOCK_H
#define CAGE_LANDLOCK_H

/* The version of Landlock's ABI that this kernel speaks; 0: it has none, or it is switched off. */
unsigned int landlock_abi(void);

/* Forbids the calling thread, and those that it makes, all that this version knows: every access
 * to a file by its path, TCP, abstract sockets and signals to others. 0 or a negative errno. */
int landlock_forbid(unsigned int abi);

#endif
