/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Programs of the user's. programs/N of the archive lists those of generation N, each as the number
   of its words and the words, every one of them terminated by a NUL (docs/abi.md). */

#include <sys/wait.h>

#include "command_line.h"
#include "say.h"

#define MAX_WORDS 4096
#define MAX_LIST (1 << 16)

/* How it ended: one of the three is not 0 when it failed. */
struct program_end {
  int error; /* errno of what kept it from being started */
  int signal;
  int status;
};

/* Runs it to its end; what it leaves behind in the background goes on until the jump. */
static struct program_end run_program(char *const words[]) {
  struct program_end end = {0, 0, 0};
  int errors[2], status;
  if (pipe2(errors, O_CLOEXEC) < 0) {
    end.error = errno;
    return end;
  }
  pid_t child = fork();
  if (child == 0) {
    int nothing = open("/dev/null", O_RDONLY); /* the console's input is the host's */
    if (nothing > 0) dup2(nothing, 0);
    execve(words[0], words, environ);
    int error = errno;
    write(errors[1], &error, sizeof(error));
    _exit(127);
  }
  if (child < 0) end.error = errno;
  close(errors[1]);
  /* Closed by a successful execve, so that nothing comes. */
  if (child > 0) read(errors[0], &end.error, sizeof(end.error));
  close(errors[0]);
  if (child > 0 && waitpid(child, &status, 0) != child) end.error = errno;
  if (end.error == 0 && WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  if (end.error == 0 && WIFEXITED(status)) end.status = WEXITSTATUS(status);
  return end;
}

static void say_program(const char *event, unsigned number, const char *path) {
  say_begin(event);
  say_number("number", number);
  say_text("path", path);
}

static void use_program(unsigned number, char *const words[]) {
  say_program("program-start", number, words[0]);
  say_end();
  const struct program_end end = run_program(words);
  int failed_to_run = end.error || end.signal || end.status;
  failed |= failed_to_run;
  write(1, "\n", 1); /* its last line may have none */
  say_program("program", number, words[0]);
  say_number("errno", (unsigned long long)end.error);
  say_number("signal", (unsigned long long)end.signal);
  say_number("status", (unsigned long long)end.status);
  say_bool("ok", !failed_to_run);
  say_end();
}

/* Cuts the next word off a list. Returns NULL behind the last. */
static char *next_word(char **at, const char *end) {
  char *word = *at;
  while (*at < end && **at) ++*at;
  if (*at >= end) return NULL;
  ++*at;
  return word;
}

/* Runs the programs of a list, one after the other, whatever becomes of those before. */
static void use_programs(const char *list) {
  static char text[MAX_LIST];
  static char *words[MAX_WORDS + 1];
  if (access(list, F_OK) != 0) return;
  long size = read_file(list, text, sizeof(text));
  char *at = text;
  for (unsigned number = 0; size < 0 || at < text + size; number++) {
    char *digits = size < 0 ? NULL : next_word(&at, text + size);
    unsigned long count = digits ? strtoul(digits, NULL, 10) : 0;
    int is_whole = count > 0 && count <= MAX_WORDS;
    for (unsigned long i = 0; is_whole && i < count; i++) {
      words[i] = next_word(&at, text + size);
      is_whole = words[i] != NULL;
    }
    if (!is_whole) {
      FAIL("program", "the list of programs in the archive is damaged");
      return;
    }
    words[count] = NULL;
    use_program(number, words);
  }
}

static void use_programs_of_generation(void) {
  char path[64];
  snprintf(path, sizeof(path), "/programs/%lu", generation);
  use_programs(path);
}
