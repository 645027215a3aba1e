/* One command a line: reads it, has it carried out and answers it. */
#define _GNU_SOURCE
#include "gcm.h"
#include "helper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* `count` lines `START END KIND`, the addresses in hexadecimal, follow: the process's ranges, instead of those it had. */
static int read_ranges(pid_t pid, size_t count) {
  struct process *process = find_process(pid);
  struct range *ranges = calloc(count ? count : 1, sizeof *ranges);
  uint64_t before = 0;
  int wrong = !process || !ranges;
  for (size_t i = 0; i < count; i++) {
    char line[128];
    struct range range = {0, 0, ANONYMOUS};
    unsigned kind = KINDS;
    if (!fgets(line, sizeof line, stdin)) exit(1);
    if (sscanf(line, "%" SCNx64 " %" SCNx64 " %u", &range.start, &range.end, &kind) != 3 || kind >= KINDS) wrong = 1;
    if (range.start < before || range.end <= range.start || range.start % PAGE || range.end % PAGE) wrong = 1;
    before = range.end;
    range.kind = kind;
    if (ranges) ranges[i] = range;
  }
  if (wrong) {
    free(ranges);
    return failed("Protocol", "ranges of process %d", pid);
  }
  free(process->ranges);
  process->ranges = ranges;
  process->range_count = count;
  return ok("ranges=%zu", count);
}

int run_command(char *line) {
  line[strcspn(line, "\n")] = 0;
  const char *rest = strchr(line, ' ') ? strchr(line, ' ') + 1 : ""; /* a path may hold spaces */
  if (!strncmp(line, "key ", 4)) return load_key(rest);
  if (!strncmp(line, "create ", 7)) return create_image(rest);
  if (!strncmp(line, "load ", 5)) return load_image(rest);
  char *words[5] = {0};
  int n = 0;
  for (char *word = strtok(line, " "); word && n < 5; word = strtok(NULL, " ")) words[n++] = word;
  if (n == 0) return failed("Protocol", "an empty line");
  const char *command = words[0];
  const long number = n > 1 ? atol(words[1]) : 0, second = n > 2 ? atol(words[2]) : 0;
  const pid_t pid = (pid_t)number;
#define IS(name, arguments) (!strcmp(command, name) && n == (arguments) + 1)
  if (IS("hello", 0)) return ok("cipher=%d pid=%d", gcm_supported(), getpid());
  if (IS("connections", 0)) return connections();
  if (IS("open", 2)) return open_process(pid, strtoull(words[2], NULL, 10));
  if (IS("ranges", 2) && second >= 0) return read_ranges(pid, (size_t)second);
  if (IS("signal", 2)) return signal_process(pid, words[2]);
  if (IS("seize", 1)) return seize_process(pid);
  if (IS("rehearse", 1)) return rehearse(pid);
  if (IS("release", 0)) return release();
  if (IS("copy", 1)) return copy_processes((int)number);
  if (IS("seal", 0)) return seal_image();
  if (IS("verify", 1)) return verify_image((int)number);
  if (IS("drop", 1)) return drop(pid);
  if (IS("park", 0)) return park();
  if (IS("untouched", 0)) return check_untouched();
  if (IS("restore", 1)) return restore_image((int)number);
  if (IS("pageout", 2)) return page_out(pid, (int)second);
  if (IS("touch", 2)) return prefetch(pid, (int)second, 0);
  if (IS("willneed", 2)) return prefetch(pid, (int)second, 1);
  return failed("Protocol", "no such command: %s", command);
}
