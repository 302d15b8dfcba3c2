/* config/config.c - reading a file in a child process, and the life of a struct config.
 *
 * libconfuse may exit() or abort() on bad input, so whoever calls survives it: a child reads, with
 * bounds on time and memory, and leaves the snapshot in a memfd it was given. */
// SPDX-License-Identifier: ISC
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/magic.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "config/parse.h"
#include "config/resolvers.h"
#include "config/snapshot.h"
#include "provider/load.h"

enum {
    FILE_BYTES_MAX = 4 << 20,
    ERROR_BYTES_MAX = 256 << 10,
    READING_SECONDS_MAX = 10,
    READING_MEMORY_MAX = 512 << 20,
    INTERFACES_MAX = 256,
    RESOLV_CONF_BYTES_MAX = 64 << 10,
};

/* What the child says last, after all errors. */
enum verdict { VERDICT_GOOD = 'G', VERDICT_WRONG = 'W', VERDICT_UNREADABLE = 'U' };

struct config *config_new(void)
{
    struct config *c = mem_new(sizeof *c);
    c->references = 1;
    return c;
}

struct config *config_hold(struct config *c)
{
    c->references++;
    return c;
}

void config_drop(struct config **c)
{
    struct config *old = *c;
    *c = NULL;
    if (!old || --old->references > 0)
        return;
    arena_free(&old->arena);
    free(old);
}

/* Each part with its length behind it, so that no two lists of parts look the same. */
static uint64_t hash_part(uint64_t seed, struct str s)
{
    uint64_t n = s.n;
    return hash_bytes(hash_bytes(seed, s), str_n((const char *)&n, sizeof n));
}

uint64_t config_fingerprint(const struct config *c)
{
    uint64_t h = hash_part(1, c->hostname);
    for (size_t i = 0; i < c->domain_count; i++) {
        h = hash_part(h, c->domains[i].name);
        h = hash_part(h, c->domains[i].accounts ? STR("accounts") : STR("none"));
        h = hash_part(h, c->domains[i].system_users ? STR("users") : STR("none"));
        h = hash_part(h, c->domains[i].aliases);
    }
    h = hash_part(h, STR("routes"));
    for (size_t i = 0; i < c->route_count; i++) {
        h = hash_part(h, c->routes[i].domain);
        h = hash_part(h, c->routes[i].via);
    }
    return hash_part(h, c->smarthost.via);
}

bool config_has_system_users(const struct config *c)
{
    for (size_t i = 0; i < c->domain_count; i++)
        if (c->domains[i].system_users)
            return true;
    return false;
}

bool config_speaks_lmtp(const struct config *c, struct str via)
{
    for (size_t i = 0; i < c->route_count; i++)
        if (str_eq(c->routes[i].via, via) && str_eq_c(c->routes[i].protocol, "lmtp"))
            return true;
    return false;
}

/* From lax to strict. */
static size_t strictness(struct str tls)
{
    static const char *const words[] = {"off", "opportunistic", "required", "verified"};
    size_t i = 0;
    while (i + 1 < countof(words) && !str_eq_c(tls, words[i]))
        i++;
    return i;
}

/* A login is only given to who proves to be the server that was meant. */
static struct str tls_in_force(const struct config *c, struct str said, struct str login)
{
    if (!str_eq_c(said, "default"))
        return said;
    return login.n > 0 ? STR("verified") : c->tls.outgoing;
}

static void hop_add(struct config_hop *hop, struct str tls, struct str login,
                    struct str password_file)
{
    if (hop->tls.n == 0 || strictness(tls) > strictness(hop->tls))
        hop->tls = tls;
    if (login.n == 0)
        return;
    hop->login = login;
    hop->password_file = password_file;
}

static bool port_is_implicit(struct str via)
{
    return str_ends(via, STR(":465")); /* RFC 8314 3.3 */
}

static void hop_add_smarthost(struct config_hop *hop, const struct config *c)
{
    const struct config_smarthost *s = &c->smarthost;
    hop_add(hop, tls_in_force(c, s->tls, s->login), s->login, s->password_file);
    if (!str_eq_c(s->implicit_tls, "by-port"))
        hop->implicit_tls = str_eq_c(s->implicit_tls, "yes");
    hop->limits = s->limits;
    hop->limit_count = s->limit_count;
    hop->recipient_limits = s->recipient_limits;
    hop->recipient_limit_count = s->recipient_limit_count;
    hop->recipients_max = s->recipients_max;
}

struct config_hop config_hop(const struct config *c, struct str via)
{
    struct config_hop hop = {.implicit_tls = port_is_implicit(via)};
    for (size_t i = 0; i < c->route_count; i++) {
        const struct config_route *r = &c->routes[i];
        if (str_eq(r->via, via))
            hop_add(&hop, tls_in_force(c, r->tls, r->login), r->login, r->password_file);
    }
    if (c->smarthost.via.n > 0 && str_eq(c->smarthost.via, via))
        hop_add_smarthost(&hop, c);
    if (hop.tls.n == 0)
        hop.tls = c->tls.outgoing;
    if (str_starts(via, STR("unix:"))) /* nobody else can listen to that */
        hop.tls = STR("off");
    hop.unprotected = hop.login.n > 0 && str_eq_c(hop.tls, "off");
    return hop;
}

bool config_has_certificate(const struct config *c)
{
    return c->tls.certificate.n > 0;
}

bool config_has_logins(const struct config *c)
{
    for (size_t i = 0; i < c->listen_count; i++)
        if (!str_eq_c(c->listens[i].auth, "off"))
            return true;
    return false;
}

bool config_has_user_logins(const struct config *c)
{
    return c->pam_service.n > 0 && config_has_logins(c) && config_has_system_users(c);
}

struct str config_login_senders(const struct config *c, const struct config_listen *l)
{
    return l && !str_eq_c(l->login_senders, "default") ? l->login_senders : c->login_senders;
}

struct str config_login_domain(const struct config *c)
{
    struct str found = STR_NONE;
    if (c->login_domain.n > 0)
        return c->login_domain;
    for (size_t i = 0; i < c->domain_count; i++) {
        const struct config_domain *d = &c->domains[i];
        if (!d->accounts && !(d->system_users && c->pam_service.n > 0))
            continue;
        if (found.n > 0)
            return STR_NONE;
        found = d->name;
    }
    return found;
}

const char *config_default_path(void)
{
    const char *path = getenv("TROIKA_CONF");
    if (path && path[0])
        return path;
    /* A system-wide program keeps its configuration in /etc, others below their prefix. */
    static const char prefix[] = TROIKA_PREFIX;
    bool system_wide = strcmp(prefix, "/usr") == 0 || strcmp(prefix, "/usr/local") == 0;
    return system_wide ? "/etc/troika/troika.conf" : TROIKA_PREFIX "/etc/troika/troika.conf";
}

/* ---- in the child ---- */

static void reading_limits(void)
{
    struct rlimit cpu = {READING_SECONDS_MAX, READING_SECONDS_MAX};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CPU, &cpu);
    struct rlimit core = {0, 0};
    setrlimit(RLIMIT_CORE, &core);
#ifndef TROIKA_UNJAILED /* sanitizers need terabytes of addresses */
    struct rlimit memory = {READING_MEMORY_MAX, READING_MEMORY_MAX};
    setrlimit(RLIMIT_AS, &memory);
#endif
}

static int read_all(const char *path, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct stat st;
    int rc = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    while (rc == 0) {
        char *room = buf_room(text, 64 * KIB);
        if (!room) {
            rc = -EFBIG;
            break;
        }
        ssize_t n = read(fd, room, 64 * KIB);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = n < 0 ? -errno : 0;
            break;
        }
        buf_added(text, (size_t)n);
    }
    close(fd);
    return rc;
}

/* From /etc/hosts or DNS, which gets two seconds: nobody waits for a dead resolver. */
static struct str full_name(struct arena *a, struct str hostname)
{
    struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM}, *found = NULL;
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
    if (getaddrinfo(arena_c(a, hostname), NULL, &hints, &found) != 0)
        return hostname;
    if (found->ai_canonname && strchr(found->ai_canonname, '.'))
        hostname = arena_copy(a, str_c(found->ai_canonname));
    freeaddrinfo(found);
    return hostname;
}

static void machine_addresses(struct arena *a, struct machine *ret)
{
    struct ifaddrs *list = NULL;
    struct sock_address *addresses = arena_alloc(a, INTERFACES_MAX * sizeof *addresses);
    ret->addresses = addresses;
    if (getifaddrs(&list) < 0)
        return;
    for (struct ifaddrs *i = list; i && ret->address_count < INTERFACES_MAX; i = i->ifa_next) {
        int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
        if (family != AF_INET && family != AF_INET6)
            continue;
        struct sock_address *one = &addresses[ret->address_count++];
        one->bytes = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        memcpy(&one->sa, i->ifa_addr, one->bytes);
    }
    freeifaddrs(list);
}

static void machine_resolvers(struct arena *a, struct machine *ret)
{
    struct str *list = arena_alloc(a, RESOLVERS_MAX * sizeof *list);
    struct buf text = buf_init(RESOLV_CONF_BYTES_MAX);
    ret->resolvers = list;
    if (read_all("/etc/resolv.conf", &text) == 0)
        ret->resolver_count = resolvers_read(buf_str(&text), a, list);
    buf_free(&text);
}

/* Locks and syncs of a network file system are not to be trusted with mail. */
static bool is_remote(const char *path)
{
    static const long remote[] = {NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC,
                                  SMB2_SUPER_MAGIC, AFS_SUPER_MAGIC, CODA_SUPER_MAGIC};
    struct statfs fs;
    if (statfs(path, &fs) < 0)
        return false;
    for (size_t i = 0; i < countof(remote); i++)
        if ((long)fs.f_type == remote[i])
            return true;
    return false;
}

static bool providers(struct arena *a, struct providers *ret, struct buf *error)
{
    return providers_load(a, PROVIDERS_OF_SYSTEM, ret, error);
}

static bool write_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno != EINTR)
            return false;
        s = str_skip(s, n > 0 ? (size_t)n : 0);
    }
    return true;
}

static bool pam_service(struct str name)
{
    struct arena a = ARENA_INIT;
    bool is_there =
        access(arena_c(&a, arena_printf(&a, "/etc/pam.d/%.*s", STR_ARG(name))), F_OK) == 0 ||
        errno != ENOENT;
    arena_free(&a);
    return is_there;
}

static enum verdict check_text(struct arena *a, struct str text, struct str path, int memory_fd,
                               struct buf *errors)
{
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    struct machine machine = {.hostname = str_c(name),
                              .full_name = full_name,
                              .providers = providers,
                              .root = geteuid() == 0,
                              .pam_service = pam_service};
    machine_addresses(a, &machine);
    machine_resolvers(a, &machine);
    struct config *c = NULL;
    if (!config_parse(text, path, &machine, &c, errors))
        return VERDICT_WRONG;
    if (is_remote(arena_c(a, c->state))) {
        buf_printf(errors,
                   "%.*s: state: %.*s is on a network file system, which cannot keep mail safe; "
                   "name a folder on a local disk\n",
                   STR_ARG(path), STR_ARG(c->state));
        return VERDICT_WRONG;
    }
    if (c->dns.trust_anchor.n > 0 && access(arena_c(a, c->dns.trust_anchor), R_OK) < 0) {
        buf_printf(errors, "%.*s: trust-anchor: %.*s cannot be read: %s\n", STR_ARG(c->dns.at),
                   STR_ARG(c->dns.trust_anchor), strerror(errno));
        return VERDICT_WRONG;
    }
    struct buf snapshot = buf_init(SNAPSHOT_BYTES_MAX);
    snapshot_encode(&snapshot, c);
    bool written = !snapshot.full && write_all(memory_fd, buf_str(&snapshot));
    buf_free(&snapshot);
    config_drop(&c);
    if (!written)
        buf_printf(errors, "%.*s: the configuration is too large\n", STR_ARG(path));
    return written ? VERDICT_GOOD : VERDICT_WRONG;
}

static _Noreturn void child(const char *path, int memory_fd, int pipe_fd)
{
    struct arena a = ARENA_INIT;
    struct buf text = buf_init(FILE_BYTES_MAX), errors = buf_init(ERROR_BYTES_MAX);
    enum verdict verdict = VERDICT_UNREADABLE;
    reading_limits();
    int rc = read_all(path, &text);
    char *real = realpath(path, NULL);
    if (rc == 0)
        verdict = check_text(&a, buf_str(&text), str_c(real ? real : path), memory_fd, &errors);
    else if (rc == -EFBIG)
        buf_printf(&errors, "%s: larger than 4 MiB, so hardly a configuration file\n", path);
    else if (rc == -EINVAL)
        buf_printf(&errors, "%s: not a file; name the configuration with -c FILE\n", path);
    else
        buf_printf(&errors, "%s: cannot be read: %s%s\n", path, strerror(-rc),
                   rc == -ENOENT ? "; `troika init` writes a first one, -c FILE names another"
                                 : "");
    char last[2] = {(char)verdict, (char)(rc < 0 ? -rc : 0)};
    write_all(pipe_fd, buf_str(&errors));
    write_all(pipe_fd, str_n(last, sizeof last));
    _exit(0);
}

/* ---- in the caller ---- */

/* Everything the child says until it ends, or until its time is over. */
static bool listen_to_child(int fd, struct buf *said)
{
    uint64_t end_us = clock_monotonic_us(&clock_system) + (READING_SECONDS_MAX + 1) * US_PER_S;
    for (;;) {
        uint64_t now_us = clock_monotonic_us(&clock_system);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (now_us >= end_us || poll(&p, 1, (int)((end_us - now_us) / 1000) + 1) == 0)
            return false;
        char *room = buf_room(said, 4 * KIB);
        if (!room)
            return false;
        ssize_t n = read(fd, room, 4 * KIB);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        buf_added(said, (size_t)n);
    }
}

static int judge(struct buf *said, bool ended, struct buf *errors, const char *path)
{
    char verdict = '\0';
    int error = 0;
    if (ended && said->n >= 2) {
        verdict = said->p[said->n - 2];
        error = (unsigned char)said->p[said->n - 1];
        buf_cut(said, said->n - 2);
    }
    if (verdict == VERDICT_GOOD || verdict == VERDICT_WRONG || verdict == VERDICT_UNREADABLE)
        buf_add(errors, buf_str(said));
    if (verdict == VERDICT_GOOD)
        return 0;
    if (verdict == VERDICT_WRONG)
        return -EINVAL;
    if (verdict == VERDICT_UNREADABLE && error > 0)
        return -error;
    buf_printf(errors, "%s: reading it %s; nothing is known about what is wrong\n", path,
               ended ? "ended in the middle" : "took longer than 10 seconds");
    return -EINVAL;
}

int config_check_file(const char *path, int *ret_snapshot_fd, struct buf *errors)
{
    int pipe_fds[2];
    int memory_fd = memfd_create("troika-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory_fd < 0)
        return -errno;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        close(memory_fd);
        return -EMFILE;
    }
    /* What stdio holds would be written twice if libconfuse called exit(). */
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        child(path, memory_fd, pipe_fds[1]);
    int rc = pid < 0 ? -errno : 0;
    close(pipe_fds[1]);

    struct buf said = buf_init(ERROR_BYTES_MAX + 8 * KIB);
    if (pid > 0) {
        bool ended = listen_to_child(pipe_fds[0], &said);
        kill(pid, SIGKILL); /* a child that has ended is a zombie until waited for */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        rc = judge(&said, ended, errors, path);
    }
    buf_free(&said);
    close(pipe_fds[0]);
    /* The child is gone, so nothing can write any more: from here on the bytes are fixed. */
    if (rc == 0 &&
        fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        rc = -errno;
    if (rc < 0)
        close(memory_fd);
    else
        *ret_snapshot_fd = memory_fd;
    return rc;
}

int config_load(int snapshot_fd, struct config **ret)
{
    struct stat st;
    if (fstat(snapshot_fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > SNAPSHOT_BYTES_MAX)
        return -EBADMSG;
    /* Read, not mapped: a file that shrinks must not become a signal. */
    char *bytes = mem_new((size_t)st.st_size);
    size_t have = 0;
    ssize_t n = 1;
    while (have < (size_t)st.st_size && n > 0) {
        n = pread(snapshot_fd, bytes + have, (size_t)st.st_size - have, (off_t)have);
        have += n > 0 ? (size_t)n : 0;
    }
    int rc = have == (size_t)st.st_size ? snapshot_decode(str_n(bytes, have), ret) : -EBADMSG;
    free(bytes);
    return rc;
}
