/*
 * A server that knows each byte of its memory: app PORT MIB [CHILDREN [LOCKED_MIB]]. Threads sleep in various calls, a child
 * may share memory after a fork. Every connection is answered with `ok` after all was verified, by a parent and by its
 * children, or with `BAD` and where.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t *memory;
static size_t words;
static volatile uint64_t ticks;

/* A quarter of the pages are zeros, a quarter compress well, the rest not at all. */
static uint64_t word_at(size_t i, uint64_t seed) {
  const size_t page = i / 512;
  if (page % 4 == 0) return 0;
  if (page % 4 == 1) return page + seed;
  uint64_t x = i * 0x9e3779b97f4a7c15ULL + seed;
  x ^= x >> 31, x *= 0xbf58476d1ce4e5b9ULL, x ^= x >> 29;
  return x;
}

/* A signal is on its way at any time, to any thread: it must neither be lost nor touch a stack that is not there. */
static void tick(int signal) {
  (void)signal;
  ticks++;
}

static long verify(uint64_t seed) {
  for (size_t i = 0; i < words; i++)
    if (memory[i] != word_at(i, seed)) return (long)i;
  return -1;
}

static void *nap(void *pause) {
  volatile char deep[256 * 1024];
  for (size_t i = 0; i < sizeof deep; i += 64) deep[i] = (char)i;
  for (;; ticks++) {
    const struct timespec time = {0, (long)(intptr_t)pause};
    nanosleep(&time, NULL);
  }
  return NULL;
}

static void *wait_for_ever(void *unused) {
  for (;;) poll(NULL, 0, -1);
  return unused;
}

static void child(int asks, int answers) {
  const uint64_t seed = 77;
  for (size_t i = 0; i < words / 2; i++) memory[i] = word_at(i, seed); /* the first half is its own from now on */
  for (char ask; read(asks, &ask, 1) == 1;) {
    long wrong = -1;
    for (size_t i = 0; i < words && wrong < 0; i++)
      if (memory[i] != word_at(i, i < words / 2 ? seed : 0)) wrong = (long)i;
    if (write(answers, &wrong, sizeof wrong) != sizeof wrong) break;
  }
  _exit(0);
}

int main(int count, char **words_given) {
  const int port = atoi(words_given[1]);
  const size_t bytes = (size_t)atoi(words_given[2]) << 20;
  const int children = count > 3 ? atoi(words_given[3]) : 0;
  const size_t locked = count > 4 ? (size_t)atoi(words_given[4]) << 20 : 0;
  words = bytes / 8;
  signal(SIGPIPE, SIG_IGN);
  const struct sigaction on_tick = {.sa_handler = tick, .sa_flags = SA_RESTART};
  const struct itimerval often = {{0, 500}, {0, 500}};
  memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < words; i++) memory[i] = word_at(i, 0);
  if (locked && mlock(mmap(NULL, locked, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), locked) != 0) return 3;
  int asks[16][2], answers[16][2];
  for (int i = 0; i < children; i++) {
    if (pipe(asks[i]) || pipe(answers[i])) return 1;
    if (fork() == 0) {
      for (int k = 0; k <= i; k++) close(asks[k][1]);
      child(asks[i][0], answers[i][1]);
    }
  }
  pthread_t thread;
  for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, nap, (void *)(intptr_t)(1000000 * (i + 1)));
  for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, wait_for_ever, NULL);

  sigaction(SIGALRM, &on_tick, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  /* Not to the main thread, whose stack stays: to the others, whose stacks go. */
  sigset_t main_only;
  sigemptyset(&main_only);
  sigaddset(&main_only, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &main_only, NULL);

  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 64)) return 2;
  for (;;) {
    const int peer = accept(server, NULL, NULL);
    if (peer < 0) continue;
    char request[4096], text[128], answer[512];
    if (read(peer, request, sizeof request) <= 0) {
      close(peer);
      continue;
    }
    long wrong = strncmp(request, "GET /quick", 10) ? verify(0) : -1;
    for (int i = 0; i < children && wrong < 0; i++) {
      if (write(asks[i][1], "?", 1) != 1 || read(answers[i][0], &wrong, sizeof wrong) != sizeof wrong) wrong = -2;
    }
    const int n = wrong == -1 ? snprintf(text, sizeof text, "ok %d\n", getpid()) : snprintf(text, sizeof text, "BAD %ld\n", wrong);
    const int all = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", n, text);
    if (write(peer, answer, (size_t)all) != all) continue;
    shutdown(peer, SHUT_WR);
    while (read(peer, request, sizeof request) > 0) continue;
    close(peer);
  }
}
