/*
 * The image: an application's anonymous pages in a file, encrypted.
 *
 * Block 0 is the head, each further slot holds up to 64 pages of one process: a tag, then one AES-256-GCM message of
 * `struct slot_text` and the pages. The nonce is the slot's number, so a slot moved, taken from elsewhere or cut off does not
 * open; the head has a tag of its own over the counts. A key serves one image. Anonymous pages of zeros alone are not kept:
 * what was dropped reads as zeros.
 */
#define _GNU_SOURCE
#include "gcm.h"
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SLOT_PAGES = 64, MAX_WORKERS = 8, VERSION = 1, NONCE_HEAD = 1, NONCE_SLOT = 2 };
enum { SLOT_BYTES = PAGE + SLOT_PAGES * PAGE, BATCH_SLOTS = HUGE_PAGE / SLOT_BYTES };

struct page_entry {
  uint64_t address;
  uint32_t checksum, unused;
};

struct slot_text {
  uint32_t process, count;
  uint64_t unused;
  struct page_entry page[SLOT_PAGES];
};

/* The encrypted text ends where the first page's block begins, so that pages are whole blocks of the file. */
enum { TEXT_AT = PAGE - sizeof(struct slot_text) };

struct image_head {
  char magic[8];
  uint32_t version, process_count;
  uint64_t slots;
  struct {
    uint64_t pid, started, pages;
  } process[MAX_PROCESSES];
  uint8_t tag[GCM_TAG_BYTES];
};
_Static_assert(sizeof(struct image_head) <= PAGE, "the head fits its block");
static const char magic[8] = "FORESCL";

static struct gcm_key key;
static int has_key, file = -1;
static struct image_head head;

/* What the workers share. */
struct piece {
  uint32_t process, pages, kept;
  uint64_t address;
  enum kind kind;
};
static struct piece *pieces;
static size_t piece_count;
static atomic_size_t next_piece, next_slot;
static atomic_ullong pages_done[MAX_PROCESSES];
static atomic_int trouble; /* an errno, or one of these */
enum { DAMAGED = 10001, CHANGED = 10002, NOT_WRITTEN = 10003, NOT_READ = 10004 };

static int answer_trouble(const char *doing) {
  const int why = trouble;
  if (why == DAMAGED) return failed("ImageDamaged", "%s: a block of the image is not what was written", doing);
  if (why == CHANGED) return failed("MemoryChanged", "%s: a page is not what it was or should be", doing);
  if (why == NOT_WRITTEN || why == NOT_READ)
    return failed("MemoryDenied", "%s: the application's memory cannot be %s", doing, why == NOT_READ ? "read" : "written");
  if (why == ENOSPC || why == EDQUOT) return failed("DiskFull", "%s: %s", doing, strerror(why));
  return failed("ImageFailed", "%s: %s", doing, strerror(why));
}

static void give_up(int why) {
  int none = 0;
  atomic_compare_exchange_strong(&trouble, &none, why);
}

/* CRC-32C of one page: four lanes side by side, as one waits three cycles a step; then one over the four. */
static uint32_t checksum(const uint8_t *page) {
  const uint64_t *words = (const uint64_t *)page;
  uint64_t a = 1, b = 2, c = 3, d = 4;
  for (int i = 0; i < PAGE / 32; i++) {
    a = _mm_crc32_u64(a, words[i]);
    b = _mm_crc32_u64(b, words[i + PAGE / 32]);
    c = _mm_crc32_u64(c, words[i + PAGE / 16]);
    d = _mm_crc32_u64(d, words[i + PAGE / 32 * 3]);
  }
  return (uint32_t)_mm_crc32_u64(_mm_crc32_u64(a, b), _mm_crc32_u64(c, d));
}

static int is_zero(const uint8_t *page) {
  const __m128i *blocks = (const __m128i *)page;
  for (int i = 0; i < PAGE / 16; i += 8) {
    __m128i any = _mm_loadu_si128(blocks + i);
    for (int k = 1; k < 8; k++) any = _mm_or_si128(any, _mm_loadu_si128(blocks + i + k));
    if (!_mm_testz_si128(any, any)) return 0;
  }
  return 1;
}

static uint8_t *buffer(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) give_up(ENOMEM);
  return memory == MAP_FAILED ? NULL : memory;
}

static int run_workers(void *(*work)(void *), int workers) {
  pthread_t threads[MAX_WORKERS];
  int started = 1;
  if (workers > MAX_WORKERS) workers = MAX_WORKERS;
  for (; started < workers && pthread_create(&threads[started], NULL, work, NULL) == 0; started++) continue;
  work(NULL);
  for (int i = 1; i < started; i++) pthread_join(threads[i], NULL);
  return trouble ? -1 : 0;
}

static ssize_t write_whole(const uint8_t *data, size_t bytes, off_t at) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = pwrite(file, data + done, bytes - done, at + (off_t)done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? -errno : -ENOSPC;
    done += (size_t)n;
  }
  return 0;
}

static int read_whole(uint8_t *data, size_t bytes, off_t at) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = pread(file, data + done, bytes - done, at + (off_t)done);
    if (n < 0 && errno == EINTR) continue;
    /* A file system that wants larger blocks than pages for direct reads. */
    if (n < 0 && errno == EINVAL && (fcntl(file, F_GETFL) & O_DIRECT) && fcntl(file, F_SETFL, 0) == 0) continue;
    if (n <= 0) return n < 0 ? errno : DAMAGED; /* cut short */
    done += (size_t)n;
  }
  return 0;
}

enum direction { FROM_TARGET, TO_TARGET };

/* The same by plain file calls. */
static int move_by_file(enum direction direction, pid_t pid, uint8_t *local, const struct iovec *there, size_t runs) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  const int fd = open(path, (direction == TO_TARGET ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  int error = fd < 0;
  for (size_t i = 0; i < runs && !error; i++)
    for (size_t done = 0; done < there[i].iov_len && !error;) {
      const off_t at = (off_t)((uint64_t)there[i].iov_base + done);
      const size_t left = there[i].iov_len - done;
      const ssize_t n = direction == TO_TARGET ? pwrite(fd, local, left, at) : pread(fd, local, left, at);
      if (n > 0) done += (size_t)n, local += n;
      else error = !(n < 0 && errno == EINTR);
    }
  if (fd >= 0) close(fd);
  return error ? -1 : 0;
}

/* Moves runs of the target's memory from or to the buffer; 0 when each byte was. */
static int move_runs(enum direction direction, pid_t pid, uint8_t *local, const struct iovec *there, size_t runs) {
  /* The usual seccomp profile of some runtimes forbids the call for this, not what it does. */
  static atomic_int by_file;
  if (!by_file) {
    size_t bytes = 0;
    for (size_t i = 0; i < runs; i++) bytes += there[i].iov_len;
    const struct iovec here = {local, bytes};
    const ssize_t n = direction == TO_TARGET ? process_vm_writev(pid, &here, 1, there, runs, 0)
                                             : process_vm_readv(pid, &here, 1, there, runs, 0);
    if (n == (ssize_t)bytes) return 0;
    if (n >= 0 || (errno != EPERM && errno != ENOSYS)) return -1;
    by_file = 1;
  }
  return move_by_file(direction, pid, local, there, runs);
}

/* Moves a slot's pages between the target and the buffer; 0 when each byte was. */
static int move_pages(enum direction direction, pid_t pid, uint8_t *local, const struct page_entry *entries, size_t count) {
  struct iovec there[SLOT_PAGES];
  size_t runs = 0;
  for (size_t i = 0; i < count; i++) {
    if (runs > 0 && (uint64_t)there[runs - 1].iov_base + there[runs - 1].iov_len == entries[i].address)
      there[runs - 1].iov_len += PAGE;
    else
      there[runs++] = (struct iovec){(void *)entries[i].address, PAGE};
  }
  return move_runs(direction, pid, local, there, runs);
}

int load_key(const char *path) {
  uint8_t bytes[GCM_KEY_BYTES + 1];
  if (!gcm_supported()) return failed("NoCipher", "this processor has no AES instructions");
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed("KeyLost", "the key cannot be read: %s", strerror(errno));
  const ssize_t n = read(fd, bytes, sizeof bytes);
  close(fd);
  if (n == GCM_KEY_BYTES) gcm_init(&key, bytes);
  explicit_bzero(bytes, sizeof bytes);
  if (n != GCM_KEY_BYTES) return failed("KeyLost", "the key has %zd bytes", n);
  mlock(&key, sizeof key);
  has_key = 1;
  return ok("key=%d", GCM_KEY_BYTES);
}

int create_image(const char *path) {
  if (!has_key) return failed("Protocol", "an image needs a key");
  file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return failed(errno == ENOSPC ? "DiskFull" : "ImageFailed", "%s: %s", path, strerror(errno));
  return ok("file=%d", file);
}

/* Cuts the ranges' pages that hold data into pieces of at most one slot, none of which reaches into two huge pages. */
static int cut_pieces(uint32_t index) {
  struct process *process = &processes[index];
  const int fd = open_pagemap(process);
  if (fd < 0) return errno;
  static uint64_t entries[1 << 15];
  int error = 0;
  for (size_t r = 0; r < process->range_count && !error; r++) {
    for (uint64_t at = process->ranges[r].start; at < process->ranges[r].end && !error;) {
      size_t pages = (process->ranges[r].end - at) / PAGE;
      if (pages > 1 << 15) pages = 1 << 15;
      if (read_pagemap(fd, at, pages, entries) != 0) error = NOT_READ;
      for (size_t i = 0; i < pages && !error; i++) {
        if (!holds_data(entries[i])) continue;
        struct piece *last = piece_count ? &pieces[piece_count - 1] : NULL;
        const uint64_t address = at + i * PAGE;
        if (last && last->process == index && last->kind == process->ranges[r].kind && address % (SLOT_PAGES * PAGE) &&
            last->address + last->pages * PAGE == address) {
          last->pages++;
          continue;
        }
        if (piece_count % 4096 == 0) pieces = realloc(pieces, (piece_count + 4096) * sizeof *pieces);
        if (!pieces) return ENOMEM;
        pieces[piece_count++] = (struct piece){index, 1, 0, address, process->ranges[r].kind};
      }
      at += pages * PAGE;
    }
  }
  close(fd);
  return error;
}

/* Encrypts what is gathered and writes it to a slot of its own. */
static int flush_slot(uint8_t *slot) {
  struct slot_text *text = (struct slot_text *)(slot + TEXT_AT);
  if (text->count == 0) return 0;
  const size_t number = atomic_fetch_add(&next_slot, 1);
  atomic_fetch_add(&pages_done[text->process], text->count);
  memset(slot + PAGE + text->count * PAGE, 0, (SLOT_PAGES - text->count) * PAGE);
  memset(slot, 0, TEXT_AT);
  gcm_seal(&key, NONCE_SLOT, number, NULL, 0, slot + TEXT_AT, SLOT_BYTES - TEXT_AT, slot);
  const ssize_t written = write_whole(slot, SLOT_BYTES, PAGE + (off_t)number * SLOT_BYTES);
  memset(text, 0, sizeof *text);
  return (int)-written;
}

static void *copy_worker(void *unused) {
  uint8_t *slot = buffer(SLOT_BYTES), *read = buffer(SLOT_PAGES * PAGE);
  if (!slot || !read) return unused;
  struct slot_text *text = (struct slot_text *)(slot + TEXT_AT);
  while (!trouble) {
    const size_t mine = atomic_fetch_add(&next_piece, 1);
    if (mine >= piece_count) break;
    const struct piece piece = pieces[mine];
    const struct iovec there = {(void *)piece.address, piece.pages * PAGE};
    if (move_runs(FROM_TARGET, processes[piece.process].pid, read, &there, 1) != 0) {
      give_up(NOT_READ);
      break;
    }
    for (uint32_t i = 0; i < piece.pages && !trouble; i++) {
      if (piece.kind != OF_FILE && is_zero(read + i * PAGE)) continue;
      int error = 0;
      if (text->count == SLOT_PAGES || (text->count > 0 && text->process != piece.process)) error = flush_slot(slot);
      if (error) give_up(error);
      text->process = piece.process;
      text->page[text->count] = (struct page_entry){piece.address + i * PAGE, checksum(read + i * PAGE), 0};
      memcpy(slot + PAGE + text->count * PAGE, read + i * PAGE, PAGE);
      text->count++;
      pieces[mine].kept++;
    }
  }
  if (!trouble) {
    const int error = flush_slot(slot);
    if (error) give_up(error);
  }
  munmap(slot, SLOT_BYTES);
  munmap(read, SLOT_PAGES * PAGE);
  return unused;
}

int copy_processes(int workers) {
  if (file < 0) return failed("Protocol", "there is no image to copy to");
  for (uint32_t i = 0; i < process_count; i++) {
    const int error = cut_pieces(i);
    if (error) give_up(error);
  }
  uint64_t held = 0, kept = 0;
  for (size_t i = 0; i < piece_count; i++) held += pieces[i].pages;
  if (run_workers(copy_worker, workers) != 0) return answer_trouble("copying");
  memcpy(head.magic, magic, sizeof magic);
  head.version = VERSION;
  head.process_count = (uint32_t)process_count;
  head.slots = next_slot;
  for (size_t i = 0; i < process_count; i++) {
    head.process[i].pid = (uint64_t)processes[i].pid;
    head.process[i].started = processes[i].started;
    head.process[i].pages = pages_done[i];
    kept += pages_done[i];
  }
  return ok("pages=%llu kept=%llu slots=%llu", (unsigned long long)held, (unsigned long long)kept,
            (unsigned long long)head.slots);
}

size_t dense_blocks(const struct process *process, struct range *blocks, size_t room) {
  size_t count = 0, resident = 0, kept = 0;
  uint64_t block = 0;
  for (size_t i = 0; i < piece_count; i++) {
    const struct piece *piece = &pieces[i];
    if (&processes[piece->process] != process || piece->kind != ANONYMOUS) continue;
    const uint64_t here = piece->address / HUGE_PAGE * HUGE_PAGE;
    if (here != block) block = here, resident = 0, kept = 0;
    resident += piece->pages, kept += piece->kept;
    if (resident < HUGE_PAGE / PAGE || kept < HUGE_PAGE / PAGE * 3 / 4) continue;
    if (count > 0 && blocks[count - 1].end == block) blocks[count - 1].end += HUGE_PAGE;
    else if (count < room) blocks[count++] = (struct range){block, block + HUGE_PAGE, ANONYMOUS};
  }
  return count;
}

static void head_tag(uint8_t tag[GCM_TAG_BYTES]) {
  gcm_seal(&key, NONCE_HEAD, 0, (const uint8_t *)&head, offsetof(struct image_head, tag), NULL, 0, tag);
}

int seal_image(void) {
  uint8_t block[PAGE] = {0};
  head_tag(head.tag);
  memcpy(block, &head, sizeof head);
  const ssize_t written = write_whole(block, PAGE, 0);
  if (written < 0) return give_up((int)-written), answer_trouble("writing the image's head");
  if (fdatasync(file) != 0) return give_up(errno), answer_trouble("writing the image through");
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  return ok("bytes=%llu", (unsigned long long)(PAGE + head.slots * SLOT_BYTES));
}

/* Room for a batch of slots in one huge page, where there are any: a disk then reads it in one go. */
static uint8_t *batch_buffer(void **whole) {
  *whole = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (*whole == MAP_FAILED) {
    give_up(ENOMEM);
    return NULL;
  }
  uint8_t *batch = (uint8_t *)(((uintptr_t)*whole + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
  madvise(batch, HUGE_PAGE, MADV_HUGEPAGE);
  return batch;
}

typedef int use_slot(struct slot_text *, uint8_t *pages, uint8_t *scratch);

static int open_slot(uint8_t *slot, size_t number, use_slot *use, uint8_t *scratch) {
  if (gcm_open(&key, NONCE_SLOT, number, NULL, 0, slot + TEXT_AT, SLOT_BYTES - TEXT_AT, slot) != 0) return DAMAGED;
  struct slot_text *text = (struct slot_text *)(slot + TEXT_AT);
  if (text->process >= process_count || text->count > SLOT_PAGES) return DAMAGED;
  const int error = use(text, slot + PAGE, scratch);
  if (!error) atomic_fetch_add(&pages_done[text->process], text->count);
  return error;
}

/* Reads and opens slots until none is left; `use` gets each one's text and pages. */
static void each_slot(use_slot *use) {
  void *whole;
  uint8_t *batch = batch_buffer(&whole), *scratch = buffer(SLOT_PAGES * PAGE);
  while (batch && scratch && !trouble) {
    const size_t first = atomic_fetch_add(&next_slot, BATCH_SLOTS);
    if (first >= head.slots) break;
    const size_t count = head.slots - first < BATCH_SLOTS ? head.slots - first : BATCH_SLOTS;
    int error = read_whole(batch, count * SLOT_BYTES, PAGE + (off_t)first * SLOT_BYTES);
    for (size_t i = 0; i < count && !error && !trouble; i++)
      error = open_slot(batch + i * SLOT_BYTES, first + i, use, scratch);
    if (error) give_up(error);
  }
  if (batch) munmap(whole, 2 * HUGE_PAGE);
  if (scratch) munmap(scratch, SLOT_PAGES * PAGE);
}

/* The target's pages, read anew, have the checksums of the slot. */
static int compare(struct slot_text *text, uint8_t *pages, uint8_t *scratch) {
  (void)pages;
  if (move_pages(FROM_TARGET, processes[text->process].pid, scratch, text->page, text->count) != 0) return NOT_READ;
  for (uint32_t i = 0; i < text->count; i++)
    if (checksum(scratch + i * PAGE) != text->page[i].checksum) return CHANGED;
  return 0;
}

static int write_back(struct slot_text *text, uint8_t *pages, uint8_t *scratch) {
  if (move_pages(TO_TARGET, processes[text->process].pid, pages, text->page, text->count) != 0)
    return NOT_WRITTEN;
  return compare(text, pages, scratch);
}

static void *compare_worker(void *unused) {
  each_slot(compare);
  return unused;
}

static void *write_back_worker(void *unused) {
  each_slot(write_back);
  return unused;
}

static int over_all_slots(void *(*work)(void *), int workers, const char *doing) {
  next_slot = 0;
  for (size_t i = 0; i < MAX_PROCESSES; i++) pages_done[i] = 0;
  if (run_workers(work, workers) == 0)
    for (size_t i = 0; i < process_count; i++)
      if (pages_done[i] != head.process[i].pages) give_up(DAMAGED);
  return trouble ? answer_trouble(doing) : 0;
}

int verify_image(int workers) {
  if (file < 0 || head.version != VERSION) return failed("Protocol", "there is no sealed image");
  if (over_all_slots(compare_worker, workers, "verifying the image") != 0) return -1;
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  return ok("slots=%llu", (unsigned long long)head.slots);
}

int load_image(const char *path) {
  static uint8_t block[PAGE] __attribute__((aligned(PAGE)));
  uint8_t tag[GCM_TAG_BYTES];
  if (!has_key) return failed("Protocol", "an image needs a key");
  /* Past the page cache: the copy would cost a tenth of the time, and is charged to a container with little memory. */
  file = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (file < 0 && errno == EINVAL) file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return failed("ImageLost", "%s: %s", path, strerror(errno));
  const int error = read_whole(block, PAGE, 0);
  if (error) return give_up(error), answer_trouble("reading the image's head");
  memcpy(&head, block, sizeof head);
  head_tag(tag);
  if (memcmp(head.magic, magic, sizeof magic) != 0 || memcmp(tag, head.tag, sizeof tag) != 0 || head.version != VERSION)
    return failed("ImageDamaged", "the image's head is not what was written with this key");
  if (head.process_count != process_count) return failed("ImageDamaged", "the image is of other processes");
  for (size_t i = 0; i < process_count; i++)
    if (head.process[i].pid != (uint64_t)processes[i].pid || head.process[i].started != processes[i].started)
      return failed("ImageDamaged", "the image is of other processes");
  return ok("slots=%llu", (unsigned long long)head.slots);
}

/* Nothing may stand in what was dropped: a page there means that the application ran without its memory. */
int check_untouched(void) {
  static uint64_t entries[1 << 15];
  for (size_t p = 0; p < process_count; p++) {
    const int fd = open_pagemap(&processes[p]);
    if (fd < 0) return failed("MemoryDenied", "pagemap of process %d: %s", processes[p].pid, strerror(errno));
    for (size_t r = 0; r < processes[p].range_count; r++) {
      for (uint64_t at = processes[p].ranges[r].start; at < processes[p].ranges[r].end;) {
        size_t pages = (processes[p].ranges[r].end - at) / PAGE;
        if (pages > 1 << 15) pages = 1 << 15;
        if (read_pagemap(fd, at, pages, entries) != 0) {
          close(fd);
          return failed("MemoryDenied", "pagemap of process %d cannot be read", processes[p].pid);
        }
        for (size_t i = 0; i < pages; i++) {
          if (!holds_data(entries[i])) continue;
          close(fd);
          return failed("Touched", "process %d has a page at %llx that was taken from it", processes[p].pid,
                        (unsigned long long)(at + i * PAGE));
        }
        at += pages * PAGE;
      }
    }
    close(fd);
  }
  return ok("processes=%zu", process_count);
}

static uint64_t cpu_us(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

int restore_image(int workers) {
  if (file < 0 || head.version != VERSION) return failed("Protocol", "no image is loaded");
  const uint64_t began = now_us();
  if (over_all_slots(write_back_worker, workers, "restoring") != 0) return -1;
  uint64_t pages = 0;
  for (size_t i = 0; i < process_count; i++) pages += pages_done[i];
  return ok("pages=%llu us=%llu cpu_us=%llu", (unsigned long long)pages, (unsigned long long)(now_us() - began),
            (unsigned long long)cpu_us());
}
