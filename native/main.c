/*
 * forescale-standby: the system calls behind Standby that need one thread nothing interrupts. It reads one command a line
 * from standard input and answers each with one line, `ok name=value …` or `error Word sentence`; what to do, in which
 * order and when to refuse, its caller decides. When its caller goes away, it ends.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

int main(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_DUMPABLE, 0); /* the application, of the same user, is not to read the key from here */
  setvbuf(stdout, NULL, _IOLBF, 1 << 16);
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, stdin) > 0) run_command(line);
  return 0;
}
