// SPDX-License-Identifier: ISC
#include "daemon/pam/check.h"

#include <assert.h>
#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "io/user.h"

const struct check_end_row check_ends[CHECK_END_COUNT] = {
    [CHECK_RIGHT] = {PASSWORD_RIGHT, ""},
    [CHECK_WRONG] = {PASSWORD_WRONG, "wrong password"},
    [CHECK_FAILED] = {PASSWORD_WRONG, "a module of PAM failed, or its command refused"},
    [CHECK_NO_USER] = {PASSWORD_WRONG, "no user of this machine who may log in"},
    [CHECK_NO_LOGIN] = {PASSWORD_WRONG, "PAM does not let the account log in"},
    [CHECK_EXPIRED] = {PASSWORD_WRONG, "the password has expired"},
    [CHECK_OTHER] = {PASSWORD_WRONG, "PAM took the login for another user"},
    [CHECK_LATER] = {PASSWORD_LATER, "PAM cannot be asked now"},
    [CHECK_BROKEN] = {PASSWORD_LATER, "the service of PAM names what is not there"},
};

/* What every code of PAM that is not here means: it cannot be asked. */
static const struct {
    int code;
    enum check_end end;
} codes[] = {
    {PAM_SUCCESS, CHECK_RIGHT},
    {PAM_AUTH_ERR, CHECK_WRONG},
    {PAM_USER_UNKNOWN, CHECK_WRONG},
    {PAM_CRED_INSUFFICIENT, CHECK_WRONG},
    {PAM_MAXTRIES, CHECK_WRONG},
    {PAM_SYSTEM_ERR, CHECK_FAILED},
    {PAM_PERM_DENIED, CHECK_NO_LOGIN},
    {PAM_ACCT_EXPIRED, CHECK_NO_LOGIN},
    {PAM_NEW_AUTHTOK_REQD, CHECK_EXPIRED},
    {PAM_AUTHTOK_EXPIRED, CHECK_EXPIRED},
    {PAM_CRED_EXPIRED, CHECK_EXPIRED},
    {PAM_OPEN_ERR, CHECK_BROKEN},
    {PAM_SYMBOL_ERR, CHECK_BROKEN},
    {PAM_SERVICE_ERR, CHECK_BROKEN},
    {PAM_MODULE_UNKNOWN, CHECK_BROKEN},
};

static enum check_end end_of(int code)
{
    for (size_t i = 0; i < countof(codes); i++)
        if (codes[i].code == code)
            return codes[i].end;
    return CHECK_LATER;
}

/* ---- what PAM asks ---- */

struct words {
    char login[USER_NAME_BYTES_MAX + 1];
    char password[CHECK_PASSWORD_BYTES_MAX + 1];
    char client[CHECK_TEXT_BYTES_MAX + 1];
};

static bool keep(char *to, size_t bytes_max, struct str s)
{
    if (s.n > bytes_max || (s.n > 0 && memchr(s.p, '\0', s.n)))
        return false;
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    to[s.n] = '\0';
    return true;
}

static const char *answer_to(int style, const struct words *w)
{
    if (style == PAM_PROMPT_ECHO_OFF)
        return w->password;
    return style == PAM_PROMPT_ECHO_ON ? w->login : ""; /* what it tells nobody reads */
}

/* PAM frees what it is given with free(3), and its modules overwrite it. */
static int converse(int count, const struct pam_message **asked, struct pam_response **ret,
                    void *arg)
{
    if (count <= 0 || count > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;

    struct pam_response *list = mem_new((size_t)count * sizeof *list);

    for (int i = 0; i < count; i++) {
        const char *answer = answer_to(asked[i]->msg_style, arg);

        list[i].resp = mem_copy(answer, strlen(answer));
    }
    *ret = list;
    return PAM_SUCCESS;
}

/* Who fails waits by logind's rules: modules would hold up a child instead. */
static void no_delay(int code, unsigned us, void *arg) {}

static int set_delay(pam_handle_t *h)
{
    void (*delay)(int code, unsigned us, void *arg) = no_delay;
    void *item;

    static_assert(sizeof item == sizeof delay, "POSIX says so, C does not");
    memcpy(&item, &delay, sizeof item);
    return pam_set_item(h, PAM_FAIL_DELAY, item);
}

/* ---- asking it ---- */

static enum check_end still_the_same(pam_handle_t *h, const struct words *w)
{
    const void *user = NULL;

    if (pam_get_item(h, PAM_USER, &user) != PAM_SUCCESS || !user)
        return CHECK_LATER;
    return strcmp(user, w->login) == 0 ? CHECK_RIGHT : CHECK_OTHER;
}

static enum check_end ask(pam_handle_t *h, const struct words *w)
{
    int code = pam_set_item(h, PAM_RHOST, w->client);

    if (code == PAM_SUCCESS)
        code = pam_set_item(h, PAM_TTY, "smtp");
    if (code == PAM_SUCCESS)
        code = set_delay(h);
    if (code == PAM_SUCCESS)
        code = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    if (code == PAM_SUCCESS)
        code = pam_acct_mgmt(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);

    enum check_end end = end_of(code);

    if (end == CHECK_RIGHT)
        end = still_the_same(h, w);
    (void)pam_end(h, code);
    return end;
}

static int begin(const struct check *c, const struct words *w, const struct pam_conv *conv,
                 pam_handle_t **ret)
{
    if (c->folder)
        return pam_start_confdir(c->service, w->login, conv, c->folder, ret);
    return pam_start(c->service, w->login, conv, ret);
}

/* Nobody logs in without a password, whatever nullok says in the service. */
static enum check_end ask_about(const struct check *c, struct words *w)
{
    struct pam_conv conv = {.conv = converse, .appdata_ptr = w};
    pam_handle_t *h = NULL;
    struct user user;
    enum user_found found = user_find(c->login, c->minimum_uid, &user);

    if (found != USER_FOUND)
        return found == USER_TRY_LATER ? CHECK_LATER : CHECK_NO_USER;
    if (c->password.n == 0 || !keep(w->password, sizeof w->password - 1, c->password))
        return CHECK_WRONG;
    (void)keep(w->login, sizeof w->login - 1, str_c(user.name));
    if (!keep(w->client, sizeof w->client - 1, c->client))
        return CHECK_LATER;
    return begin(c, w, &conv, &h) == PAM_SUCCESS ? ask(h, w) : CHECK_BROKEN;
}

enum check_end check_password(const struct check *c)
{
    struct words w = {.login = ""};
    enum check_end end = ask_about(c, &w);

    explicit_bzero(&w, sizeof w);
    return end;
}
