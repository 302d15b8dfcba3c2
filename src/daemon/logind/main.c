/* logind/main.c - the program logind: knows secrets, and talks to nobody but smtpd. */
// SPDX-License-Identifier: ISC
#include "daemon/logind/logind.h"

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &logind_spec);
}
