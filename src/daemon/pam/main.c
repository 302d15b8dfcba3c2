// SPDX-License-Identifier: ISC
#include "daemon/pam/pam.h"

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &pam_spec);
}
