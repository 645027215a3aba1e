/* Swap mode: pages pushed out with process_madvise and touched back in, piece by piece, by a few workers. */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OUT_BYTES = 4 << 20, IN_BYTES = 1 << 20, TOUCHES = 256, MAX_WORKERS = 8 };
enum doing { PAGE_OUT, WILLNEED, TOUCH };

static struct {
  const struct process *process;
  enum doing doing;
  uint64_t step;
  atomic_size_t next;
  atomic_ullong bytes;
  atomic_int error;
} job;

/* The n-th piece of all ranges, cut at `step`; 0 when there are fewer. */
static int piece_at(size_t n, struct range *piece) {
  for (size_t i = 0; i < job.process->range_count; i++) {
    const struct range range = job.process->ranges[i];
    const size_t pieces = (size_t)((range.end - range.start + job.step - 1) / job.step);
    if (n < pieces) {
      piece->start = range.start + n * job.step;
      piece->end = piece->start + job.step < range.end ? piece->start + job.step : range.end;
      return 1;
    }
    n -= pieces;
  }
  return 0;
}

static int advise(struct range piece, int advice) {
  const struct iovec there = {(void *)piece.start, piece.end - piece.start};
  const long done = syscall(SYS_process_madvise, job.process->pidfd, &there, 1, advice, 0);
  if (done < 0) return errno;
  atomic_fetch_add(&job.bytes, (unsigned long long)done);
  return 0;
}

/* One byte read of every swapped page maps it; WILLNEED would only fill the swap cache. */
static int touch(struct range piece, int pagemap) {
  uint64_t entries[IN_BYTES / PAGE];
  const size_t pages = (size_t)((piece.end - piece.start) / PAGE);
  if (pagemap >= 0 && read_pagemap(pagemap, piece.start, pages, entries) != 0) return errno;
  struct iovec there[TOUCHES];
  char bytes[TOUCHES];
  const struct iovec here = {bytes, TOUCHES};
  size_t n = 0;
  for (size_t i = 0; i <= pages; i++) {
    const int wanted = i < pages && (pagemap < 0 || (entries[i] >> 62 & 1));
    if (wanted) there[n++] = (struct iovec){(void *)(piece.start + i * PAGE), 1};
    if (n < TOUCHES && (i < pages || n == 0)) continue;
    if (process_vm_readv(job.process->pid, &here, 1, there, n, 0) < 0) return errno;
    atomic_fetch_add(&job.bytes, n * PAGE);
    n = 0;
  }
  return 0;
}

static void *work(void *unused) {
  const int pagemap = job.doing == TOUCH ? open_pagemap(job.process) : -1;
  for (struct range piece; !job.error && piece_at(atomic_fetch_add(&job.next, 1), &piece);) {
    const int error = job.doing == TOUCH      ? touch(piece, pagemap)
                      : job.doing == PAGE_OUT ? advise(piece, MADV_PAGEOUT)
                                              : advise(piece, MADV_WILLNEED);
    /* An application that runs again may have unmapped a piece. */
    if (error && !(job.doing != PAGE_OUT && (error == ENOMEM || error == EFAULT))) job.error = error;
  }
  if (pagemap >= 0) close(pagemap);
  return unused;
}

static int carry_out(pid_t pid, enum doing doing, int workers) {
  job.process = find_process(pid);
  if (!job.process) return failed("Protocol", "process %d is not open", pid);
  job.doing = doing;
  job.step = doing == PAGE_OUT ? OUT_BYTES : IN_BYTES;
  job.next = 0;
  job.bytes = 0;
  job.error = 0;
  pthread_t threads[MAX_WORKERS];
  int started = 1;
  for (; started < workers && started < MAX_WORKERS && pthread_create(&threads[started], NULL, work, NULL) == 0; started++)
    continue;
  work(NULL);
  for (int i = 1; i < started; i++) pthread_join(threads[i], NULL);
  const int error = job.error;
  if (error == EPERM || error == EACCES)
    return failed("PageOutDenied", "process %d: %s; it takes CAP_SYS_NICE and CAP_SYS_PTRACE in the first user namespace",
                  pid, strerror(error));
  if (error == ESRCH) return failed("Gone", "process %d has ended", pid);
  if (error) return failed("PageOutFailed", "process %d: %s", pid, strerror(error));
  return ok("bytes=%llu", (unsigned long long)job.bytes);
}

int page_out(pid_t pid, int workers) { return carry_out(pid, PAGE_OUT, workers); }
int prefetch(pid_t pid, int workers, int willneed) { return carry_out(pid, willneed ? WILLNEED : TOUCH, workers); }
