/* SPDX-License-Identifier: BSD-3-Clause */
/* Has a child fill memory with what is not zero, as many MiB as the argument says, until it is done or
   out of memory: then nothing that anybody may use is left clean. */

#include <sys/mman.h>
#include <sys/wait.h>

static int fill(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!bytes || memory == MAP_FAILED) return 1;
  memset(memory, 0xa5, bytes);
  return 0;
}

int main(int argc, char **argv) {
  int status = -1;
  pid_t child = fork();
  if (child == 0) _exit(fill(argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0));
  if (child < 0 || waitpid(child, &status, 0) != child) return 2;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}
