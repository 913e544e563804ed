/* SPDX-License-Identifier: Apache-2.0 */
#include "test_program.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

void test_program_open(struct program_image *image, const char *name)
{
    static uint8_t bytes[1 << 20];
    struct error error;
    char path[512];
    FILE *file;
    size_t size;

    snprintf(path, sizeof(path), "%s/%s", getenv("MEZZ_IMAGES"), name);
    file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    ck_assert_msg(program_image_open(image, name, bytes, size, &error) == 0, "%s", error.text);
}
