/* The helper's own parts: what each does stands in its .c file. The caller's side, and all policy, is src/sidecar. */
#ifndef FORESCALE_HELPER_H
#define FORESCALE_HELPER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PAGE = 4096, HUGE_PAGE = 2 << 20, MAX_PROCESSES = 100 };

enum kind {
  ANONYMOUS,
  OF_FILE,     /* a private mapping of a file: what is dropped reads as the file, not as zeros */
  SMALL_PAGES, /* anonymous, and its owner wants no huge pages there */
  KINDS
};

struct range {
  uint64_t start, end;
  enum kind kind;
};

struct thread {
  pid_t tid;
  int stopped; /* under our trace, at a stop */
};

struct process {
  pid_t pid;
  uint64_t started; /* field 22 of /proc/PID/stat: with the id, it names a process for good */
  int pidfd;
  struct thread *threads;
  size_t thread_count;
  struct range *ranges; /* whose pages are copied and dropped, in order, apart */
  size_t range_count;
};

extern struct process processes[MAX_PROCESSES];
extern size_t process_count;

struct process *find_process(pid_t pid);

/* Each ends one command: prints its answer, and gives what the answer was. */
int ok(const char *format, ...) __attribute__((format(printf, 1, 2)));
int failed(const char *word, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Carries out one line, which it cuts into words, and answers it. */
int run_command(char *line);

uint64_t now_us(void);
void nap_us(unsigned us);

/* processes.c */
struct stat_fields {
  char state;
  uint64_t started;
};
/* Of /proc/PID/stat or a thread's; 0 when it could be read. */
int read_stat(const char *path, struct stat_fields *fields);
int open_process(pid_t pid, uint64_t started);
int signal_process(pid_t pid, const char *name);
/* What pagemap says of `pages` pages from `address`; 0 when it could be read. */
int read_pagemap(int fd, uint64_t address, size_t pages, uint64_t *entries);
int open_pagemap(const struct process *process);
/* The process's own page, in RAM or in swap: not a file's, and not a guard region's marker. */
int holds_data(uint64_t pagemap_entry);

/* trace.c: only ever on the main thread, as Linux ties a tracee to the thread that seized it. */
int seize_process(pid_t pid);
int rehearse(pid_t pid);
int drop(pid_t pid);
int park(void);
int release(void);

/* image.c */
int load_key(const char *path);
int create_image(const char *path);
int copy_processes(int workers);
int seal_image(void);
/* Of a process that was copied: blocks of the size of a huge page that were resident as a whole and mostly data, neighbours joined. */
size_t dense_blocks(const struct process *process, struct range *blocks, size_t room);
int verify_image(int workers);
int load_image(const char *path);
int check_untouched(void);
int restore_image(int workers);

/* sockets.c */
int connections(void);

/* paging.c */
int page_out(pid_t pid, int workers);
int prefetch(pid_t pid, int workers, int willneed);

#endif
