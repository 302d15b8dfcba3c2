/* daemon/keys/main.c - the program keys: holds the private keys, so that no process which reads the
 * network does. */
// SPDX-License-Identifier: ISC
#include "daemon/keys/keys.h"

int main(int argc, char **argv)
{
    return worker_main(argc, argv, &keys_spec);
}
