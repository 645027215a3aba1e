/* Time that no change of the system's clock moves. */
#define _GNU_SOURCE
#include "helper.h"

#include <time.h>

uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void nap_us(unsigned us) {
  const struct timespec pause = {0, (long)us * 1000};
  nanosleep(&pause, NULL);
}
