/* cli/places.c - the configuration and the role programs: where they are found. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "io/program.h"

struct config *load_config(const struct command_line *l, int *ret_snapshot_fd)
{
    struct buf errors = buf_init(64 * KIB);
    struct config *config = NULL;
    int snapshot_fd = -1;
    int error = config_check_file(l->config_path, &snapshot_fd, &errors);

    if (!error)
        error = config_load(snapshot_fd, &config);
    if (error) {
        if (errors.n)
            fprintf(stderr, "%.*s\n", STR_ARG(str_trim(buf_str(&errors))));
        else
            fail(l, EX_CONFIG, "%s: %s", l->config_path, strerror(-error));
    }
    buf_free(&errors);
    if (ret_snapshot_fd && config)
        *ret_snapshot_fd = snapshot_fd;
    else if (snapshot_fd >= 0)
        close(snapshot_fd);
    return config;
}

/* A program run from its build has libexec/ beside itself; an installed one is in PREFIX/bin. */
bool libexec_path(const struct command_line *l, const char *role, char *ret, size_t ret_bytes)
{
    static const char *const folders[] = {"libexec", "../libexec/troika"};

    if (l->libexec) {
        snprintf(ret, ret_bytes, "%s/%s", l->libexec, role);
        return access(ret, X_OK) == 0;
    }
    return program_file(folders, countof(folders), role, X_OK, ret, ret_bytes);
}

bool share_path(const char *name, char *ret, size_t ret_bytes)
{
    static const char *const of_locale[] = {
        ".",           /* build/troika */
        "..",          /* build/libexec/outward */
        "../share",    /* PREFIX/bin/troika */
        "../../share", /* PREFIX/libexec/troika/outward */
    };

    if (strcmp(name, "locale") == 0)
        return program_file(of_locale, countof(of_locale), name, R_OK, ret, ret_bytes);
    return program_share(name, ret, ret_bytes);
}

/* What root makes for a server of a plain user belongs to that user; else the server gives the
 * folders of its roles away when it starts. */
static void give_to_owner(const char *state, const char *folder)
{
    struct stat st;

    if (geteuid() == 0 && stat(state, &st) == 0 && st.st_uid != 0)
        (void)lchown(folder, st.st_uid, st.st_gid);
}

static int make_folder(const struct command_line *l, const struct config *c, const char *folder,
                       mode_t mode)
{
    char state[4200];

    snprintf(state, sizeof(state), "%.*s", STR_ARG(c->state));
    if (mkdir(state, 0755) < 0 && errno != EEXIST)
        return fail(l, EX_CANTCREAT, "%s: %s", state, strerror(errno));
    if (mkdir(folder, mode) == 0)
        give_to_owner(state, folder);
    else if (errno != EEXIST)
        return fail(l, EX_CANTCREAT, "%s: %s", folder, strerror(errno));
    return EX_OK;
}

int make_accounts_folder(const struct command_line *l, const struct config *c, const char *folder)
{
    return make_folder(l, c, folder, 0750);
}

int make_credentials_folder(const struct command_line *l, const struct config *c,
                            const char *folder)
{
    return make_folder(l, c, folder, 0700);
}
