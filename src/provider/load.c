/* provider/load.c - see load.h. */
// SPDX-License-Identifier: ISC
#include "provider/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "io/disk.h"
#include "io/program.h"

enum { PATH_BYTES_MAX = 4096, FILES_MAX = 3 };

static bool load_file(struct arena *a, const struct providers_file *file,
                      const struct providers *base, struct providers *ret, struct buf *error)
{
    struct buf text = buf_init(PROVIDER_FILE_BYTES_MAX);
    int problem = file_read(AT_FDCWD, file->path, PROVIDER_FILE_BYTES_MAX, &text);
    bool absent = problem == -ENOENT || problem == -ENOTDIR;
    bool good = false;

    if (problem == 0)
        good = providers_parse(a, buf_str(&text), file->path, base, ret, error);
    else if (absent && !file->needed)
        good = true;
    else
        buf_printf(error, "%s: %s\n", file->path,
                   problem == -EFBIG ? "too long for a file of providers" : strerror(-problem));
    buf_free(&text);
    return good;
}

bool providers_load_files(struct arena *a, const struct providers_file *files, size_t count,
                          struct providers *ret, struct buf *error)
{
    struct providers all = {0};

    for (size_t i = 0; i < count; i++)
        if (!load_file(a, &files[i], &all, &all, error))
            return false;
    *ret = all;
    return true;
}

/* XDG Base Directory Specification: a relative path does not count. */
static const char *user_file(struct arena *a)
{
    const char *folder = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");

    if (folder && folder[0] == '/')
        return arena_printf(a, "%s/troika/providers.conf", folder).p;
    if (home && home[0] == '/')
        return arena_printf(a, "%s/.config/troika/providers.conf", home).p;
    return NULL;
}

bool providers_load(struct arena *a, enum providers_whose whose, struct providers *ret,
                    struct buf *error)
{
    char ours[PATH_BYTES_MAX];
    const char *of_user = whose == PROVIDERS_OF_USER ? user_file(a) : NULL;
    struct providers_file files[FILES_MAX] = {
        {ours, true},
        {"/etc/troika/providers.conf", false},
        {of_user, false},
    };

    if (!program_share("providers.conf", ours, sizeof ours)) {
        buf_add_c(error, "providers.conf is not where this program was installed: neither in "
                         "share beside it nor in PREFIX/share/troika\n");
        return false;
    }
    return providers_load_files(a, files, of_user ? 3 : 2, ret, error);
}
