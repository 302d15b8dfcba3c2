/* outward/probe/report_json.c - for a machine: never translated, ids that stay. */
// SPDX-License-Identifier: ISC
#include "base/check.h"
#include "cli/cli.h"
#include "outward/probe/judge.h"
#include "outward/probe/report.h"

/* Its keys are static: they are those of the documentation. */
static void set_text(json_t *to, const char *key, struct str text)
{
    if (text.n > 0)
        json_object_set_new(to, key, json_text(text));
}

static void set_ms(json_t *to, uint64_t us)
{
    json_object_set_new(to, "ms", json_integer((json_int_t)(us / 1000)));
}

static const char *const severity_keys[SEVERITY_COUNT] = {"broken", "unknown", "weak", "note",
                                                          "fine"};

/* ---- findings ---- */

static json_t *finding_object(const struct finding *k)
{
    const struct finding_row *row = &finding_rows[k->id];
    json_t *o = json_object();
    struct buf text = buf_init(4 * FINDING_BYTES_MAX);

    finding_print(&text, k, false);
    json_object_set_new(o, "id", json_string(row->id));
    json_object_set_new(o, "severity", json_string(severity_keys[k->severity]));
    set_text(o, "about", k->about);
    set_text(o, "what", k->what);
    set_text(o, "text", buf_str(&text));
    set_text(o, "meaning", str_c(k->meaning));
    set_text(o, "remedy", str_c(row->remedy));
    buf_free(&text);
    return o;
}

static json_t *findings_array(const struct findings *f)
{
    json_t *all = json_array();

    for (size_t i = 0; i < f->count; i++)
        json_array_append_new(all, finding_object(&f->list[i]));
    return all;
}

/* ---- servers ---- */

static const char *const step_keys[TALK_STEP_COUNT] = {
    [TALK_CONNECT] = "connect",
    [TALK_GREETING] = "greeting",
    [TALK_EHLO] = "ehlo",
    [TALK_HELO] = "helo",
    [TALK_STARTTLS] = "starttls",
    [TALK_TLS] = "tls",
    [TALK_EHLO_SECURED] = "ehlo-secured",
    [TALK_VRFY_POSTMASTER] = "vrfy",
    [TALK_VRFY_NOBODY] = "vrfy-nobody",
    [TALK_EXPN] = "expn",
    [TALK_BOUNCE] = "bounce",
    [TALK_POSTMASTER] = "postmaster",
    [TALK_NOBODY] = "nobody",
};

static json_t *step_object(const struct fact_reply *r)
{
    json_t *o = json_object();

    if (r->code > 0)
        json_object_set_new(o, "code", json_integer(r->code));
    if (r->error < 0)
        json_object_set_new(o, "errno", json_integer(-r->error));
    set_text(o, "text", r->text);
    set_ms(o, r->us);
    return o;
}

static json_t *steps_object(const struct fact_server *s)
{
    json_t *all = json_object();

    for (enum fact_step step = 0; step < TALK_STEP_COUNT; step++)
        if (step_keys[step] && s->steps[step].tried)
            json_object_set_new(all, step_keys[step], step_object(&s->steps[step]));
    return all;
}

static json_t *lines_array(struct str lines)
{
    json_t *all = json_array();

    while (lines.n > 0)
        json_array_append_new(all, json_text(str_cut(&lines, '\n')));
    return all;
}

static json_t *versions_array(const struct fact_tls *t)
{
    json_t *all = json_array();

    for (enum tls_version v = 0; v < TLS_VERSION_COUNT; v++)
        if (t->versions[v] == VERSION_TAKEN)
            json_array_append_new(all, json_string(tls_version_word(v)));
    return all;
}

static json_t *tls_object(const struct fact_tls *t)
{
    json_t *o = json_object();
    struct buf until = buf_init(64);

    json_object_set_new(o, "secured", json_boolean(t->secured));
    set_text(o, "failure", str_c(t->failure));
    set_text(o, "version", t->version);
    set_text(o, "cipher", t->cipher);
    set_text(o, "names", t->names);
    set_text(o, "key", t->kind);
    set_text(o, "trouble", str_c(t->trouble));
    if (t->secured) {
        time_print(&until, t->not_after_us);
        json_object_set_new(o, "name_matches", json_boolean(t->name_matches));
        set_text(o, "until", buf_str(&until));
    }
    json_object_set_new(o, "versions", versions_array(t));
    buf_free(&until);
    return o;
}

static json_t *server_object(const struct fact_server *s)
{
    json_t *o = json_object();

    set_text(o, "host", s->host->name);
    set_text(o, "address", s->address->text);
    json_object_set_new(o, "port", json_integer(s->port));
    json_object_set_new(o, "submission", json_boolean(s->submission));
    json_object_set_new(o, "steps", steps_object(s));
    if (s->plain.said)
        json_object_set_new(o, "offers", lines_array(s->plain.lines));
    if (s->secured.said)
        json_object_set_new(o, "offers_secured", lines_array(s->secured.lines));
    if (s->tls.secured || s->tls.failure)
        json_object_set_new(o, "tls", tls_object(&s->tls));
    return o;
}

static json_t *servers_array(const struct facts *f)
{
    json_t *all = json_array();

    for (size_t i = 0; i < f->server_count; i++)
        json_array_append_new(all, server_object(f->servers[i]));
    return all;
}

/* ---- names ---- */

static json_t *question_object(const struct fact_question *q)
{
    static const char *const outcomes[] = {[DNS_FOUND] = "found",
                                           [DNS_NO_DATA] = "no-data",
                                           [DNS_NO_NAME] = "no-name",
                                           [DNS_LATER] = "later"};
    static const char *const securities[] = {
        [DNS_INSECURE] = "insecure", [DNS_SECURE] = "secure", [DNS_BOGUS] = "bogus"};
    json_t *o = json_object(), *answers = json_array();

    for (size_t i = 0; i < q->answer->count; i++) {
        struct fact_answer one = {.records = &q->answer->records[i], .count = 1};
        struct buf text = buf_init(70 * KIB);

        report_answer(&text, q->type, &one);
        json_array_append_new(answers, json_text(buf_str(&text)));
        buf_free(&text);
    }
    set_text(o, "name", q->name);
    json_object_set_new(o, "type", json_string(report_type_word(q->type)));
    json_object_set_new(o, "outcome", json_string(outcomes[q->answer->outcome]));
    json_object_set_new(o, "dnssec", json_string(securities[q->answer->security]));
    json_object_set_new(o, "answers", answers);
    set_text(o, "why", q->answer->why);
    set_ms(o, q->answer->us);
    return o;
}

static json_t *questions_array(const struct facts *f)
{
    json_t *all = json_array();

    for (size_t i = 0; i < f->question_count; i++)
        if (f->questions[i].answer->asked)
            json_array_append_new(all, question_object(&f->questions[i]));
    return all;
}

void report_json(const struct report *r)
{
    json_t *o = json_object();

    set_text(o, "about", r->about);
    json_object_set_new(o, "kind",
                        json_string(r->facts->subject == SUBJECT_HOST ? "host" : "domain"));
    json_object_set_new(o, "code", json_integer(verdict_code(r->findings)));
    for (enum severity s = 0; s < SEVERITY_COUNT; s++)
        json_object_set_new(o, severity_keys[s],
                            json_integer((json_int_t)findings_of(r->findings, s)));
    json_object_set_new(o, "findings", findings_array(r->findings));
    json_object_set_new(o, "servers", servers_array(r->facts));
    json_object_set_new(o, "names", questions_array(r->facts));
    set_ms(o, r->facts->us);
    print_json(o);
}
