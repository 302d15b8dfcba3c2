/* smtpd/main.c - the program smtpd: talks to clients that nobody trusts yet. */
// SPDX-License-Identifier: ISC
#include "daemon/smtpd/smtpd.h"

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &smtpd_spec);
}
