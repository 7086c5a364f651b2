/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What selftests of 7.2, which are for a C library, use and its nolibc lacks. Those of later trees
   get along with their nolibc and see none of it. */

#include "nolibc.h"

#ifndef required_argument
#define no_argument 0
#define required_argument 1
#define optional_argument 2

struct option {
  const char *name;
  int has_arg;
  int *flag;
  int val;
};

/* Short options only, which is what the rig gives them. */
static __attribute__((unused)) int getopt_long(int argc, char *const argv[], const char *letters,
                                               const struct option *options, int *index) {
  (void)options;
  (void)index;
  return getopt(argc, argv, letters);
}
#endif

#ifndef _SC_PAGE_SIZE
#define _SC_PAGE_SIZE 30
#define sysconf(name) ((name) == _SC_PAGE_SIZE ? (long)getpagesize() : -1L)
#endif
