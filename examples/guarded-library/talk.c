/* SPDX-License-Identifier: Apache-2.0 */
/* A program that uses the library, as it would without a guard. */
#include "lib/tiny.h"
#include "speaker.h"

int main(int argc, char **argv)
{
    static const char quiet[] = "good morning\n", loud[] = "GOOD MORNING\n";

    (void)argc;
    (void)argv;
    tiny_print("talk: quiet: %d\n", (int)speaker_say(quiet, sizeof(quiet) - 1));
    tiny_print("talk: loud: %d\n", (int)speaker_say(loud, sizeof(loud) - 1));
    tiny_print("talk: beep: %d\n", (int)speaker_beep(3));
    speaker_beep(1000);
    tiny_print("talk: nobody gets here\n");
    return 0;
}
