/* tests/fuzz/replay.c - runs a fuzz target over the files of folders, as a plain test.
 * A folder that does not exist is skipped; no file at all is a failure. */
// SPDX-License-Identifier: ISC
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    static uint8_t room[4 * 1024 * 1024];

    if (!file)
        return 0;
    size_t n = fread(room, 1, sizeof(room), file);

    fclose(file);
    /* A copy of exactly this size, so that AddressSanitizer sees a read past its end. */
    uint8_t *data = malloc(n ? n : 1);

    if (!data)
        return 0;
    for (size_t i = 0; i < n; i++)
        data[i] = room[i];
    (void)LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        struct dirent *entry;

        if (!folder)
            continue;
        while ((entry = readdir(folder)) != NULL) {
            char path[4096];

            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            count += replay_file(path);
        }
        closedir(folder);
    }
    printf("[  PASSED  ] %d input(s)\n", count);
    return count ? 0 : 1;
}
