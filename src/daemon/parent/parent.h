/* daemon/parent/parent.h - parent -c FILE [--libexec FOLDER]: what `troika serve` becomes.
 *
 * Everything that can be wrong is found before the first worker starts, said in plain words on
 * stderr, and ends with an exit status of sysexits.h. */
// SPDX-License-Identifier: ISC
#pragma once

int parent_main(int argc, char **argv);
