/*
 * Stopping every thread of a process at a point where its memory can be taken away, and having one of them drop it.
 *
 * Who dies when: while a thread is held at its own point, the helper's death lets it run on, unharmed. While one carries out
 * our call, and from the first dropped page on, PTRACE_O_EXITKILL kills the application with the helper. At last SIGSTOP is
 * queued before the threads are let go, so that none returns to its own code without its memory.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_WAIT_US = 3000000, STEP_WAIT_US = 10000000, CODE_64_BIT = 0x33, SYSCALL_BYTES = 2, MOST_BLOCKS = 256 };

/* The letter of a thread's state, or 0 when it is gone. */
static char state_of(pid_t pid, pid_t tid) {
  char path[64];
  struct stat_fields fields;
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
  return read_stat(path, &fields) == 0 ? fields.state : 0;
}

static int is_dead(pid_t pid, pid_t tid) {
  const char state = state_of(pid, tid);
  return state == 0 || state == 'Z' || state == 'X';
}

/* Waits for one thread to reach the stop asked for. 1: stopped, 0: it ended, -1: not in time, -2: stopped by somebody else. */
static int await_interrupt(pid_t tid) {
  for (const uint64_t until = now_us() + STOP_WAIT_US; now_us() < until;) {
    int status;
    const pid_t got = waitpid(tid, &status, __WALL | WNOHANG);
    if (got < 0) return 0;
    if (got == 0) {
      nap_us(100);
      continue;
    }
    if (!WIFSTOPPED(status)) return 0;
    if (status >> 16 == PTRACE_EVENT_STOP) return WSTOPSIG(status) == SIGTRAP ? 1 : -2;
    /* A signal came first: it is the thread's own, and the interrupt follows. */
    ptrace(PTRACE_CONT, tid, 0, WSTOPSIG(status));
  }
  return -1;
}

static struct thread *find_thread(struct process *process, pid_t tid) {
  for (size_t i = 0; i < process->thread_count; i++)
    if (process->threads[i].tid == tid) return &process->threads[i];
  return NULL;
}

/* One pass over the threads: how many were new, or -1 after a refusal was printed. */
static int seize_new_threads(struct process *process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", process->pid);
  DIR *folder = opendir(path);
  if (!folder) return failed("Gone", "process %d: %s", process->pid, strerror(errno));
  int fresh = 0;
  for (struct dirent *entry; fresh >= 0 && (entry = readdir(folder));) {
    const pid_t tid = atoi(entry->d_name);
    if (tid == 0 || find_thread(process, tid)) continue;
    if (ptrace(PTRACE_SEIZE, tid, 0, 0) != 0) {
      const int why = errno;
      if (why == ESRCH || is_dead(process->pid, tid)) continue;
      failed("PtraceDenied", "thread %d of process %d: %s", tid, process->pid, strerror(why));
      fresh = -1;
      break;
    }
    process->threads = realloc(process->threads, (process->thread_count + 1) * sizeof *process->threads);
    struct thread *thread = &process->threads[process->thread_count++];
    *thread = (struct thread){.tid = tid};
    ptrace(PTRACE_INTERRUPT, tid, 0, 0);
    const int stopped = await_interrupt(tid);
    if (stopped == 1) thread->stopped = 1, fresh++;
    if (stopped == -1) failed("NotStopping", "thread %d of process %d did not stop", tid, process->pid), fresh = -1;
    if (stopped == -2) failed("Stopped", "process %d was stopped by somebody else", process->pid), fresh = -1;
  }
  closedir(folder);
  return fresh;
}

/* Where the kernel keeps a thread's CPU number: it may write there whenever the thread runs, so the page must stay. */
static uint64_t rseq_page(pid_t tid) {
  struct {
    uint64_t pointer;
    uint32_t size, signature, flags, pad;
  } area = {0};
  const int get_rseq_configuration = 0x420f;
  if (ptrace(get_rseq_configuration, tid, sizeof area, &area) < 0) return 0;
  return area.pointer & ~(uint64_t)(PAGE - 1);
}

int seize_process(pid_t pid) {
  struct process *process = find_process(pid);
  if (!process) return failed("Protocol", "process %d is not open", pid);
  for (int fresh = 1; fresh > 0;) {
    fresh = seize_new_threads(process);
    if (fresh < 0) return -1;
  }
  size_t stopped = 0, pages = 0;
  char keep[1 << 16] = "";
  for (size_t i = 0, at = 0; i < process->thread_count; i++) {
    if (!process->threads[i].stopped) continue;
    stopped++;
    const uint64_t page = rseq_page(process->threads[i].tid);
    if (page && at + 20 < sizeof keep)
      at += (size_t)snprintf(keep + at, sizeof keep - at, "%s%llx", pages++ ? "," : "", (unsigned long long)page);
  }
  if (stopped == 0) return failed("Gone", "process %d has no thread left", pid);
  return ok("threads=%zu keep=%s", stopped, keep);
}

int release(void) {
  for (size_t p = 0; p < process_count; p++) {
    for (size_t i = 0; i < processes[p].thread_count; i++) ptrace(PTRACE_DETACH, processes[p].threads[i].tid, 0, 0);
    processes[p].thread_count = 0;
  }
  return ok("released=%zu", process_count);
}

/* A `syscall` instruction that every process has: the vDSO's own fallback. 0 when there is none. */
static uint64_t syscall_instruction(pid_t pid) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  FILE *maps = fopen(path, "re");
  if (!maps) return 0;
  unsigned long start = 0, end = 0;
  while (fgets(line, sizeof line, maps))
    if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &start, &end) == 2) break;
  fclose(maps);
  for (unsigned long at = start; at + 8 <= end; at += 7) {
    errno = 0;
    const long word = ptrace(PTRACE_PEEKTEXT, pid, at, 0);
    if (errno) return 0;
    for (int i = 0; i < 7; i++)
      if ((word >> (8 * i) & 0xffff) == 0x050f) return at + (unsigned long)i;
  }
  return 0;
}

/* A thread inside a system call: outside any restartable sequence, and its call is restarted as after a signal. */
static struct thread *thread_in_call(struct process *process, struct user_regs_struct *regs) {
  for (size_t i = 0; i < process->thread_count; i++) {
    struct thread *thread = &process->threads[i];
    if (!thread->stopped || ptrace(PTRACE_GETREGS, thread->tid, 0, regs) != 0) continue;
    if (regs->cs == CODE_64_BIT && (long long)regs->orig_rax >= 0) return thread;
  }
  return NULL;
}

struct borrowed {
  pid_t tid;
  struct user_regs_struct regs;
  uint64_t mask, instruction;
};

static int borrow(struct process *process, struct borrowed *borrowed) {
  const struct thread *thread = thread_in_call(process, &borrowed->regs);
  if (!thread) return failed("Busy", "no thread of process %d waits in a system call", process->pid);
  borrowed->tid = thread->tid;
  borrowed->instruction = syscall_instruction(thread->tid);
  if (!borrowed->instruction) return failed("NoVdso", "process %d has no system call instruction to use", process->pid);
  if (ptrace(PTRACE_SETOPTIONS, thread->tid, 0, PTRACE_O_EXITKILL) != 0)
    return failed("Injection", "thread %d cannot be bound to the helper: %s", thread->tid, strerror(errno));
  const uint64_t all_but_trap = ~(1ULL << (SIGTRAP - 1));
  if (ptrace(PTRACE_GETSIGMASK, thread->tid, 8, &borrowed->mask) != 0 ||
      ptrace(PTRACE_SETSIGMASK, thread->tid, 8, &all_but_trap) != 0)
    return failed("Injection", "signal mask of thread %d: %s", thread->tid, strerror(errno));
  return 0;
}

/*
 * Back to its own registers, and from the trap of our step to a plain stop, which comes before any step of its own code: a
 * thread let go at the trap would die of it. Its signals stay blocked until it stands, so that none is handled on the way.
 */
static int give_back(const struct borrowed *borrowed) {
  if (ptrace(PTRACE_SETREGS, borrowed->tid, 0, &borrowed->regs) != 0) return -1;
  if (ptrace(PTRACE_INTERRUPT, borrowed->tid, 0, 0) != 0 || ptrace(PTRACE_CONT, borrowed->tid, 0, 0) != 0) return -1;
  if (await_interrupt(borrowed->tid) != 1) return -1;
  return ptrace(PTRACE_SETSIGMASK, borrowed->tid, 8, &borrowed->mask) == 0 ? 0 : -1;
}

/* madvise(start, bytes, advice) in the borrowed thread; 0 when it came back from the call, as seen in its registers. */
static int inject(const struct borrowed *borrowed, uint64_t start, uint64_t bytes, int advice, long long *result) {
  struct user_regs_struct regs = borrowed->regs;
  regs.rip = borrowed->instruction;
  regs.rax = SYS_madvise;
  regs.orig_rax = (unsigned long long)-1;
  regs.rdi = start, regs.rsi = bytes, regs.rdx = (unsigned long long)advice;
  if (ptrace(PTRACE_SETREGS, borrowed->tid, 0, &regs) != 0) return -1;
  if (ptrace(PTRACE_SINGLESTEP, borrowed->tid, 0, 0) != 0) return -1;
  int status = 0;
  for (const uint64_t until = now_us() + STEP_WAIT_US;;) {
    const pid_t got = waitpid(borrowed->tid, &status, __WALL | WNOHANG);
    if (got == borrowed->tid) break;
    if (got < 0 || now_us() > until) return -1;
  }
  if (!WIFSTOPPED(status) || status >> 8 != SIGTRAP) return -1;
  if (ptrace(PTRACE_GETREGS, borrowed->tid, 0, &regs) != 0) return -1;
  *result = (long long)regs.rax;
  return regs.rip == borrowed->instruction + SYSCALL_BYTES ? 0 : -1;
}

static int inject_drop(const struct borrowed *borrowed, uint64_t start, uint64_t bytes) {
  long long result = -1;
  return inject(borrowed, start, bytes, MADV_DONTNEED, &result) == 0 && result == 0 ? 0 : -1;
}

/*
 * What was full before comes back in huge pages: one fault in place of 512. Nothing else does, so that the application never
 * holds more than it did. A kernel without huge pages says no, which costs nothing but time.
 */
static int ask_for_huge_pages(const struct borrowed *borrowed, const struct process *process) {
  struct range blocks[MOST_BLOCKS];
  const size_t count = dense_blocks(process, blocks, MOST_BLOCKS);
  for (size_t i = 0; i < count; i++) {
    long long result;
    if (inject(borrowed, blocks[i].start, blocks[i].end - blocks[i].start, MADV_HUGEPAGE, &result) != 0) return -1;
    if (result != 0) break;
  }
  return 0;
}

/* The whole procedure on no bytes at all: whatever would forbid it, forbids it here, where nothing is lost yet. */
int rehearse(pid_t pid) {
  struct process *process = find_process(pid);
  if (!process || process->thread_count == 0) return failed("Protocol", "process %d is not seized", pid);
  struct borrowed borrowed;
  if (borrow(process, &borrowed) != 0) return -1;
  const uint64_t anywhere = borrowed.regs.rsp & ~(uint64_t)(PAGE - 1);
  const int done = inject_drop(&borrowed, anywhere, 0);
  if (give_back(&borrowed) != 0 || done != 0 || ptrace(PTRACE_SETOPTIONS, borrowed.tid, 0, 0) != 0)
    return failed("Injection", "process %d did not carry out a system call of ours", pid);
  return ok("pid=%d", pid);
}

int drop(pid_t pid) {
  struct process *process = find_process(pid);
  if (!process || process->thread_count == 0) return failed("Protocol", "process %d is not seized", pid);
  for (size_t i = 0; i < process->thread_count; i++) {
    if (!process->threads[i].stopped) continue;
    if (ptrace(PTRACE_SETOPTIONS, process->threads[i].tid, 0, PTRACE_O_EXITKILL) != 0)
      return failed("Injection", "thread %d cannot be bound to the helper: %s", process->threads[i].tid, strerror(errno));
  }
  struct borrowed borrowed;
  if (borrow(process, &borrowed) != 0) return -1;
  uint64_t bytes = 0;
  for (size_t i = 0; i < process->range_count; i++) {
    const struct range range = process->ranges[i];
    if (inject_drop(&borrowed, range.start, range.end - range.start) != 0)
      return failed("Injection", "process %d did not drop %llx-%llx", pid, (unsigned long long)range.start,
                    (unsigned long long)range.end);
    bytes += range.end - range.start;
  }
  if (ask_for_huge_pages(&borrowed, process) != 0)
    return failed("Injection", "process %d did not carry out a system call of ours", pid);
  if (give_back(&borrowed) != 0) return failed("Injection", "the registers of thread %d were not restored", borrowed.tid);
  return ok("bytes=%llu", (unsigned long long)bytes);
}

static int let_go(const struct process *process, const struct thread *thread) {
  if (ptrace(PTRACE_DETACH, thread->tid, 0, 0) == 0 || is_dead(process->pid, thread->tid)) return 0;
  return failed("Injection", "thread %d cannot be let go: %s", thread->tid, strerror(errno));
}

/*
 * One process stopped by SIGSTOP, no longer by us. The signal goes to one thread, which alone is let go until it stands: what
 * is sent to a thread is taken before what waits for the process, and once one thread stands the others stand before they
 * look at any signal. Otherwise a signal that waits, such as a timer's, would be handled on a stack that is not there.
 */
static int park_process(struct process *process) {
  struct thread *first = NULL;
  for (size_t i = 0; i < process->thread_count && !first; i++)
    if (process->threads[i].stopped && !is_dead(process->pid, process->threads[i].tid)) first = &process->threads[i];
  if (!first) return failed("Gone", "process %d has no thread left", process->pid);
  /* The thread is held by us, so its id is its own. */
  if (syscall(SYS_tgkill, process->pid, first->tid, SIGSTOP) != 0)
    return failed("SignalDenied", "process %d: %s", process->pid, strerror(errno));
  if (let_go(process, first) != 0) return -1;
  for (const uint64_t until = now_us() + STOP_WAIT_US; state_of(process->pid, first->tid) != 'T'; nap_us(50))
    if (now_us() > until) return failed("NotStopping", "thread %d of process %d did not stop", first->tid, process->pid);
  for (size_t i = 0; i < process->thread_count; i++)
    if (process->threads[i].stopped && &process->threads[i] != first && let_go(process, &process->threads[i]) != 0)
      return -1;
  process->thread_count = 0;
  return 0;
}

int park(void) {
  for (size_t p = 0; p < process_count; p++)
    if (park_process(&processes[p]) != 0) return -1;
  return ok("parked=%zu", process_count);
}
