/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Flags of kexec_file_load for the next kernel: khorig.kexec=WORD[,WORD...]. */

#include "command_line.h"
#include "say.h"

/* By value: the kernel's header may be older than the kernel that runs, which refuses a flag that
   it does not know. */
static const struct {
  const char *word;
  unsigned long flag;
} kexec_words[] = {
    {"no-initramfs", 0x4},
    {"no-cma", 0x10},
    {"force-dtb", 0x20},
};

#define ON_CRASH 0x2UL
#define NO_INITRAMFS 0x4UL

/* 0, and a failure, if a word is not known. */
static unsigned long one_flag(const char *word) {
  for (size_t i = 0; i < sizeof(kexec_words) / sizeof(kexec_words[0]); i++) {
    if (!strcmp(kexec_words[i].word, word)) return kexec_words[i].flag;
  }
  FAIL("kexec_file_load", "khorig.kexec= has a word that is no flag");
  return 0;
}

static unsigned long kexec_flags(void) {
  char words[256];
  unsigned long flags = 0;
  snprintf(words, sizeof(words), "%s", option("khorig.kexec=", NULL));
  for (char *at = words; *at;) {
    char *comma = strchr(at, ','), *next = comma ? comma + 1 : at + strlen(at);
    if (comma) *comma = '\0';
    flags |= one_flag(at);
    at = next;
  }
  return flags;
}
