/* smtpd/smtpd_tls.h - what the role keys has given this worker: certificates, ticket keys, and a
 * socket on which to ask for signatures. The private keys stay there. */
// SPDX-License-Identifier: ISC
#pragma once

#include "config/config.h"
#include "ipc/worker.h"
#include "tls/server.h"

int smtpd_tls_start_before_jail(struct worker *w);
/* The set for new connections; NULL: there is none now, or nobody to sign. */
struct tls_server *smtpd_tls(void);
bool smtpd_tls_is_due(void); /* the configuration names a certificate, and none has come yet */
void smtpd_tls_config(const struct config *c);

void smtpd_tls_signer(struct msg_signer *m);
void smtpd_tls_certificate(const struct msg_tls_certificate *m);
void smtpd_tls_roots(const struct msg_tls_roots *m);
void smtpd_tls_certificates_end(void);
