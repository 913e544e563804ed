/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_IMAGES_H
#define VMM_CLI_IMAGES_H

/*
 * The directories that mezz.image searches after the stack file's own. The first of these that is
 * given counts: the option --images, the variable MEZZ_IMAGES (several, with ':' between them),
 * what lies around the program: images/ of its build tree, or libexec/mezz/ of where it is
 * installed.
 */
struct cli_images {
    const char **directories; /* NULL ends */
    char *text;
};

/* option: --images, or NULL. 0, or -ENOMEM. */
int cli_images_find(struct cli_images *images, const char *option);
void cli_images_release(struct cli_images *images);

#endif
