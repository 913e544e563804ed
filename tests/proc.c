/* SPDX-License-Identifier: Apache-2.0 */
#include "proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 20000

const char *proc_text(const char *path)
{
    static char text[PROC_TEXT_MAX];
    FILE *file = fopen(path, "r");
    size_t length = 0;

    if (file != NULL) {
        length = fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
    }
    text[length] = '\0';
    return text;
}

const char *proc_status(pid_t process, pid_t thread)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", process, thread);
    return proc_text(path);
}

bool proc_says(const char *status, const char *name, const char *value)
{
    char line[96];

    snprintf(line, sizeof(line), "\n%s:\t%s\n", name, value);
    return strstr(status, line) != NULL;
}

pid_t proc_child(pid_t parent)
{
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    pid_t child = 0;
    char number[16];

    snprintf(number, sizeof(number), "%d", parent);
    while (child == 0 && (entry = readdir(processes)) != NULL) {
        pid_t process = atoi(entry->d_name);

        if (process > 0 && proc_says(proc_status(process, process), "PPid", number))
            child = process;
    }
    closedir(processes);
    return child;
}

int proc_each_thread(pid_t process, void look(pid_t process, pid_t thread))
{
    char path[64];
    DIR *threads;
    const struct dirent *entry;
    int count = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", process);
    threads = opendir(path);
    while (threads != NULL && (entry = readdir(threads)) != NULL)
        if (atoi(entry->d_name) > 0) {
            count++;
            look(process, atoi(entry->d_name));
        }
    if (threads != NULL)
        closedir(threads);
    return count;
}

bool proc_is_gone(pid_t process)
{
    for (int i = 0; i < WAIT_MS / 2; i++, usleep(2000)) {
        const char *status = proc_status(process, process);

        if (status[0] == '\0' || strstr(status, "\nState:\tZ") != NULL)
            return true;
    }
    return false;
}
