/* io/jail_landlock.c - what Landlock lets a jailed process reach.
 *
 * By system call with constants of our own: the headers of a distribution know fewer rights than
 * its next kernel. A right the running kernel does not know is left out. */
// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/jail_parts.h"

enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 }; /* the same everywhere */
enum { ASK_VERSION = 1, RULE_PATH_BENEATH = 1 };

enum file_right {
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    REMOVE_DIR = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_DIR = 1 << 7,
    MAKE_REG = 1 << 8,
    REFER = 1 << 13,
    TRUNCATE = 1 << 14,
};
enum { BIND_TCP = 1, CONNECT_TCP = 2 };

static const uint64_t read_rights = READ_FILE | READ_DIR;
static const uint64_t write_rights =
    WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE;

struct ruleset { /* struct landlock_ruleset_attr; zeros are fine for a kernel that knows less */
    uint64_t files, net, scoped;
};
struct path_beneath {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

/* Everything each ABI can deny. */
static const struct {
    int abi;
    struct ruleset all;
} known[] = {
    {1, {.files = 0x1fff}},
    {2, {.files = 0x3fff}},
    {3, {.files = 0x7fff}},
    {4, {.files = 0x7fff, .net = BIND_TCP | CONNECT_TCP}},
    {5, {.files = 0xffff, .net = BIND_TCP | CONNECT_TCP}},
    {6, {.files = 0xffff, .net = BIND_TCP | CONNECT_TCP, .scoped = 3}},
};

static struct ruleset denied_by(int abi, unsigned may)
{
    struct ruleset r = {0};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && known[i].abi <= abi; i++)
        r = known[i].all;
    if (may & JAIL_CONNECT)
        r.net &= ~(uint64_t)CONNECT_TCP;
    return r;
}

static int allow_beneath(int ruleset_fd, int fd, uint64_t rights)
{
    struct path_beneath rule = {.allowed = rights, .parent_fd = fd};

    return syscall(ADD_RULE, ruleset_fd, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int allow_root(int ruleset_fd, const struct jail *j, uint64_t known_rights)
{
    uint64_t rights = (j->may & (JAIL_FILES_READ | JAIL_FILES_WRITE) ? read_rights : 0) |
                      (j->may & JAIL_FILES_WRITE ? write_rights : 0);

    if (j->root_fd < 0 || rights == 0)
        return 0;
    return allow_beneath(ruleset_fd, j->root_fd, rights & known_rights);
}

static int allow_reading(int ruleset_fd, const char *path)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0)
        r = allow_beneath(ruleset_fd, fd, S_ISDIR(st.st_mode) ? read_rights : (uint64_t)READ_FILE);
    (void)close(fd);
    return r;
}

static int allow_and_restrict(int ruleset_fd, const struct jail *j, uint64_t known_rights)
{
    int r = allow_root(ruleset_fd, j, known_rights);

    for (size_t i = 0; j->also_read && j->also_read[i] && r == 0; i++)
        r = allow_reading(ruleset_fd, j->also_read[i]);
    if (r == 0 && syscall(RESTRICT_SELF, ruleset_fd, 0) < 0)
        r = -errno;
    return r;
}

int jail_landlock(const struct jail *j)
{
    int abi = (int)syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);

    if (abi < 1)
        return 0;
    struct ruleset denied = denied_by(abi, j->may);
    int fd = (int)syscall(CREATE_RULESET, &denied, sizeof(denied), 0);
    if (fd < 0)
        return -errno;
    int r = allow_and_restrict(fd, j, denied.files);
    (void)close(fd);
    return r < 0 ? r : abi;
}
