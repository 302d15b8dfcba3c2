/* io/program.c - see program.h. */
// SPDX-License-Identifier: ISC
#include "io/program.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

bool program_file(const char *const *folders, size_t folder_count, const char *name, int mode,
                  char *ret, size_t ret_bytes)
{
    char program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

    if (n <= 0)
        return false;
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < folder_count; i++) {
        int length = snprintf(ret, ret_bytes, "%s/%s/%s", program, folders[i], name);

        if (length > 0 && (size_t)length < ret_bytes && access(ret, mode) == 0)
            return true;
    }
    return false;
}

bool program_share(const char *name, char *ret, size_t ret_bytes)
{
    static const char *const folders[] = {
        "share",              /* build/troika */
        "../share",           /* build/libexec/ROLE */
        "../share/troika",    /* PREFIX/bin/troika */
        "../../share/troika", /* PREFIX/libexec/troika/ROLE */
    };

    return program_file(folders, countof(folders), name, R_OK, ret, ret_bytes);
}
