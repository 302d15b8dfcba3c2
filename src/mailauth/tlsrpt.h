/* mailauth/tlsrpt.h - where a domain wants to be told that TLS to it fails. RFC 8460 3. Pure. */
// SPDX-License-Identifier: ISC
#pragma once

#include "mailauth/report_address.h"

bool tlsrpt_record_is(struct str text);
bool tlsrpt_record_parse(struct str text, struct report_addresses *ret, struct record_error *error);
