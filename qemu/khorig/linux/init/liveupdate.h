/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Sessions of the Live Update Orchestrator with memfds, from one kernel to a later one. */

#include <linux/liveupdate.h>

#include "command_line.h"
#include "dead.h"
#include "memfds.h"
#include "say.h"

#define MAX_SESSIONS 8

/* All of these stay open: closing a session would drop it. */
static struct {
  const char *name;
  int fd;
} sessions[MAX_SESSIONS];
static int preserved[MEMFDS]; /* files */
static unsigned long long *mappings[MEMFDS];
static int are_preserved;
static int received[MEMFDS]; /* 0: not there */

/* The open session of a name, opened at its first file; -1 when that failed. */
static int session_of(const char *name, int (*open_session)(int luo, const char *name), int luo) {
  size_t i = 0;
  while (i < MAX_SESSIONS - 1 && sessions[i].name && strcmp(sessions[i].name, name)) i++;
  if (!sessions[i].name) {
    sessions[i].name = name;
    sessions[i].fd = open_session(luo, name);
  }
  return sessions[i].fd;
}

static void name_session(unsigned char *to, const char *name) { memcpy(to, name, strlen(name)); }

static int create_session(int luo, const char *name) {
  struct liveupdate_ioctl_create_session create = {.size = sizeof(create)};
  name_session((unsigned char *)create.name, name);
  if (ioctl(luo, LIVEUPDATE_IOCTL_CREATE_SESSION, &create) >= 0) return create.fd;
  FAIL_ERRNO("liveupdate", "create session");
  return -1;
}

static int open_received(int luo, const char *name) {
  struct liveupdate_ioctl_retrieve_session retrieve = {.size = sizeof(retrieve)};
  name_session((unsigned char *)retrieve.name, name);
  if (ioctl(luo, LIVEUPDATE_IOCTL_RETRIEVE_SESSION, &retrieve) >= 0) return retrieve.fd;
  FAIL_ERRNO("liveupdate", "retrieve session");
  return -1;
}

/* Memory that nobody has cleared: pages for holes that are not zeroed show. */
static void leave_garbage(void) {
  size_t size = 1024 * PAGE;
  unsigned long long *words =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (words == MAP_FAILED) return;
  for (size_t i = 0; i < size / PAGE; i++) fill_page(words + i * (PAGE / sizeof(*words)), ~i);
  munmap(words, size);
}

/* Where its pages lie, once nothing moves them any more: preserving takes them out of scratch. */
static void remember_memfd(const struct memfd *file, int memfd) {
  if (!is_to_crash()) return;
  volatile unsigned long long *words = mmap(NULL, file->size, PROT_READ, MAP_SHARED, memfd, 0);
  if (words == MAP_FAILED) {
    FAIL_ERRNO("crash", "memfd");
    return;
  }
  for (unsigned long i = 0; i < pages_of(file); i++) (void)words[i * (PAGE / sizeof(*words))];
  remember_mapping("memfd", file->state, (const void *)words, pages_of(file));
  munmap((void *)words, file->size);
}

static void preserve_memfds(int luo) {
  leave_garbage();
  for (size_t i = 0; i < MEMFDS; i++) {
    int session = session_of(memfds[i].session, create_session, luo);
    preserved[i] = -1;
    if (session < 0) continue;
    preserved[i] = create_memfd(&memfds[i], &mappings[i]);
    if (preserved[i] < 0) {
      FAIL_ERRNO("liveupdate", memfds[i].name);
      continue;
    }
    struct liveupdate_session_preserve_fd preserve = {
        .size = sizeof(preserve), .fd = preserved[i], .token = memfds[i].token};
    if (ioctl(session, LIVEUPDATE_SESSION_PRESERVE_FD, &preserve) < 0) {
      FAIL_ERRNO("liveupdate", "preserve memfd");
      preserved[i] = -1;
      continue;
    }
    /* Still the same: preserving a file does not change it. */
    if (!check_memfd(&memfds[i], preserved[i], "preserved", BEFORE)) preserved[i] = -1;
    if (mappings[i] && memfds[i].is_late) write_memfd(&memfds[i], mappings[i], PRESERVED);
    if (i == 0 && preserved[i] >= 0) remember_memfd(&memfds[i], preserved[i]);
  }
  are_preserved = 1;
}

/* Writes for the last time, the next kernel being loaded. */
static void write_memfds_again(void) {
  for (size_t i = 0; are_preserved && i < MEMFDS; i++) {
    if (preserved[i] < 0) continue;
    if (mappings[i] && memfds[i].is_late) write_memfd(&memfds[i], mappings[i], LOADED);
    int is_right = check_memfd(&memfds[i], preserved[i], "handed over", LOADED);
    say_memfd(&memfds[i], 0, is_right);
  }
}

static int retrieve_memfd(const struct memfd *file, int session) {
  struct liveupdate_session_retrieve_fd retrieve = {.size = sizeof(retrieve), .token = file->token};
  if (ioctl(session, LIVEUPDATE_SESSION_RETRIEVE_FD, &retrieve) < 0) {
    FAIL_ERRNO("liveupdate", "retrieve memfd");
    return 0;
  }
  received[file - memfds] = retrieve.fd;
  int is_right = check_memfd(file, retrieve.fd, "received", LOADED);
  say_memfd(file, 1, is_right);
  return is_right;
}

static void retrieve_memfds(int luo) {
  unsigned long long bytes = 0;
  int all_right = 1;
  for (size_t i = 0; i < MEMFDS; i++) {
    int session = session_of(memfds[i].session, open_received, luo);
    all_right &= session >= 0 && retrieve_memfd(&memfds[i], session);
    bytes += memfds[i].size;
  }
  for (size_t i = 0; i < MAX_SESSIONS && sessions[i].name; i++) {
    struct liveupdate_session_finish finish = {.size = sizeof(finish)};
    if (sessions[i].fd < 0 || ioctl(sessions[i].fd, LIVEUPDATE_SESSION_FINISH, &finish) >= 0) {
      continue;
    }
    FAIL_ERRNO("liveupdate", "finish session");
    all_right = 0;
  }
  memset(sessions, 0, sizeof(sessions)); /* open they stay, with what they hold */
  say_begin("liveupdate");
  say_number("files", MEMFDS);
  say_number("bytes", bytes);
  say_bool("ok", all_right);
  say_end();
}

/* What was received or preserved is still what it was. */
static void check_memfds_again(const char *after) {
  char how[64];
  for (size_t i = 0; i < MEMFDS; i++) {
    snprintf(how, sizeof(how), "received, after %s", after);
    if (received[i] > 0) check_memfd(&memfds[i], received[i], how, LOADED);
    snprintf(how, sizeof(how), "preserved, after %s", after);
    if (are_preserved && preserved[i] >= 0) check_memfd(&memfds[i], preserved[i], how, PRESERVED);
  }
}

/* khorig.luo=retrieve and khorig.luo=create, or offer: create where this kernel can. */
static void use_liveupdate(void) {
  int offer = option_has("khorig.luo=", "offer");
  int create = offer || option_has("khorig.luo=", "create");
  int retrieve = option_has("khorig.luo=", "retrieve");
  if (!create && !retrieve) return;
  if (offer && !retrieve && access("/dev/liveupdate", F_OK) != 0) return;
  int luo = open("/dev/liveupdate", O_RDWR);
  if (luo < 0) {
    FAIL_ERRNO("liveupdate", "/dev/liveupdate");
    return;
  }
  if (retrieve) retrieve_memfds(luo);
  if (create) preserve_memfds(luo);
  close(luo); /* one program at a time may have it open */
}
