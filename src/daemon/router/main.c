/* daemon/router/main.c - libexec/troika/router. */
// SPDX-License-Identifier: ISC
#include "daemon/router/router.h"

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &router_spec);
}
