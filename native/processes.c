/* Processes by id and start time, held by pidfd: an id that went to another process never meets a signal or a write. */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct process processes[MAX_PROCESSES];
size_t process_count;

struct process *find_process(pid_t pid) {
  for (size_t i = 0; i < process_count; i++)
    if (processes[i].pid == pid) return &processes[i];
  return NULL;
}

int read_stat(const char *path, struct stat_fields *fields) {
  char text[1024];
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return -1;
  text[n] = 0;
  /* The name in parentheses may hold anything, so fields are counted from its end: the state is the first, the start the 20th. */
  const char *at = strrchr(text, ')');
  if (!at || !at[1]) return -1;
  fields->state = at[2];
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  fields->started = at ? strtoull(at, NULL, 10) : 0;
  return 0;
}

static uint64_t start_time(pid_t pid) {
  char path[64];
  struct stat_fields fields;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  return read_stat(path, &fields) == 0 ? fields.started : 0;
}

int open_process(pid_t pid, uint64_t started) {
  if (process_count == MAX_PROCESSES)
    return failed("TooManyProcesses", "the application has more than %d processes", MAX_PROCESSES);
  if (find_process(pid)) return failed("Protocol", "process %d is open already", pid);
  const int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return failed(errno == ESRCH ? "Gone" : "PidfdDenied", "process %d: %s", pid, strerror(errno));
  if (start_time(pid) != started) {
    close(fd);
    return failed("Gone", "process %d is not the one that was found", pid);
  }
  processes[process_count++] = (struct process){.pid = pid, .started = started, .pidfd = fd};
  return ok("pid=%d", pid);
}

int signal_process(pid_t pid, const char *name) {
  struct process *process = find_process(pid);
  const int signal = !strcmp(name, "STOP")   ? SIGSTOP
                     : !strcmp(name, "CONT") ? SIGCONT
                     : !strcmp(name, "KILL") ? SIGKILL
                     : !strcmp(name, "NONE") ? 0
                                             : -1;
  if (!process || signal < 0) return failed("Protocol", "signal %s to process %d", name, pid);
  if (syscall(SYS_pidfd_send_signal, process->pidfd, signal, NULL, 0) == 0) return ok("pid=%d", pid);
  return failed(errno == ESRCH ? "Gone" : "SignalDenied", "process %d: %s", pid, strerror(errno));
}

int open_pagemap(const struct process *process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/pagemap", process->pid);
  return open(path, O_RDONLY | O_CLOEXEC);
}

int read_pagemap(int fd, uint64_t address, size_t pages, uint64_t *entries) {
  const ssize_t want = (ssize_t)(pages * sizeof *entries);
  return pread(fd, entries, (size_t)want, (off_t)(address / PAGE * sizeof *entries)) == want ? 0 : -1;
}

int holds_data(uint64_t entry) {
  const uint64_t guard = 1ULL << 58, of_file = 1ULL << 61, swapped = 1ULL << 62, present = 1ULL << 63;
  return (entry & (present | swapped)) && !(entry & (guard | of_file));
}
