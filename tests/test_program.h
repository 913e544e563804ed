/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TEST_PROGRAM_H
#define TESTS_TEST_PROGRAM_H

#include "hookguard/program_image.h"

/* Opens a program of $MEZZ_IMAGES; if that fails the test does. */
void test_program_open(struct program_image *image, const char *name);

#endif
