// SPDX-License-Identifier: ISC
#include "daemon/parent/parent.h"

int main(int argc, char **argv)
{
    return parent_main(argc, argv);
}
