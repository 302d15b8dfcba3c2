/* outward/probe/judge.h - what the facts mean. Pure: facts in, findings out; each part looks at one thing. */
// SPDX-License-Identifier: ISC
#pragma once

#include "outward/probe/facts.h"
#include "outward/probe/findings.h"

void judge(const struct facts *f, struct findings *to); /* all of it, sorted */

void judge_names(const struct facts *f, struct findings *to);
void judge_servers(const struct facts *f, struct findings *to);
void judge_tls(const struct facts *f, const struct fact_server *s, struct findings *to);
void judge_manners(const struct facts *f, const struct fact_server *s, struct findings *to);
void judge_dane(const struct facts *f, struct findings *to);
void judge_sts(const struct facts *f, struct findings *to);
void judge_tlsrpt(const struct facts *f, struct findings *to);
void judge_spf(const struct facts *f, struct findings *to);
void judge_dkim(const struct facts *f, struct findings *to);
void judge_dmarc(const struct facts *f, struct findings *to);
void judge_delivery(const struct facts *f, struct findings *to);

/* The whole in one sentence: a text with {about} in it, marked for translation. */
const char *verdict(const struct facts *f, const struct findings *k);
/* 0: nothing is wrong; 1: something is weak; EX_UNAVAILABLE: something is broken; EX_NOHOST: there is
 * no such name; EX_TEMPFAIL: that could not be found out. */
int verdict_code(const struct findings *k);

/* ---- for the parts ---- */

/* "450 4.2.0 come later", in one line; why no reply came where there was none. */
struct str reply_words(struct findings *to, const struct fact_reply *r);
/* A finding that quotes the reply to this step, explained. */
void find_reply(struct findings *to, enum finding_id id, struct str about,
                const struct fact_reply *r, enum fact_step step);
struct str day_words(struct findings *to, uint64_t us);
/* Whether a chain is good for whoever looks at it, and the name in it. */
bool certificate_good(const struct facts *f, const struct fact_tls *t);
/* Like find, where the answer could not be had. False: it could. */
bool find_later(struct findings *to, const struct fact_answer *answer, struct str about);
