/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/cli_images.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AROUND_MAX 3

/* BUILD/src/vmm/mezz or PREFIX/bin/mezz; a mezz alone with its images/ is the third. */
static const char *const around[AROUND_MAX] = {"../../images", "../libexec/mezz", "images"};

/* The program's own directory, in buffer; "." when the kernel does not tell. */
static void own_directory(char *buffer, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", buffer, size - 1);
    char *slash;

    if (length < 0) {
        snprintf(buffer, size, ".");
        return;
    }
    buffer[length] = '\0';
    slash = strrchr(buffer, '/');
    if (slash != NULL)
        *slash = '\0';
}

/* The directories around the program that exist, with ':' between them; all of them if none does,
 * for the message to name. */
static char *list_around(void)
{
    char own[PATH_MAX];
    char path[PATH_MAX + 32];
    char *list = calloc(AROUND_MAX, sizeof(path));

    own_directory(own, sizeof(own));
    for (int all = 0; list != NULL && list[0] == '\0' && all < 2; all++) {
        for (size_t i = 0; i < AROUND_MAX; i++) {
            char *real;

            snprintf(path, sizeof(path), "%s/%s", own, around[i]);
            real = realpath(path, NULL);
            if (real == NULL && !all)
                continue;
            if (list[0] != '\0')
                strcat(list, ":");
            strcat(list, real != NULL ? real : path);
            free(real);
        }
    }
    return list;
}

int cli_images_find(struct cli_images *images, const char *option)
{
    const char *variable = getenv("MEZZ_IMAGES");
    size_t count = 0;

    if (option != NULL)
        images->text = strdup(option);
    else if (variable != NULL && variable[0] != '\0')
        images->text = strdup(variable);
    else
        images->text = list_around();
    if (images->text == NULL)
        return -ENOMEM;
    images->directories = calloc(strlen(images->text) + 2, sizeof(*images->directories));
    if (images->directories == NULL) {
        free(images->text);
        return -ENOMEM;
    }
    for (char *rest = images->text, *one; (one = strsep(&rest, ":")) != NULL;)
        if (one[0] != '\0')
            images->directories[count++] = one;
    return 0;
}

void cli_images_release(struct cli_images *images)
{
    free(images->directories);
    free(images->text);
}
