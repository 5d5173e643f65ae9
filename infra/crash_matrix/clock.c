/* Shift the time of day of a process by the seconds in a file, which may change while it runs.

   Why: the clock of a machine jumps. CLOCK_MONOTONIC and all waits stay as they are: libfaketime 0.9.10 changes
   them or, under Python 3.11, breaks them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t none = 0;
static volatile int64_t *seconds = &none;
static int (*original)(clockid_t, struct timespec *);

__attribute__((constructor)) static void start(void) {
  original = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  const char *name = getenv("CRASH_MATRIX_CLOCK");
  int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *found = mmap(NULL, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
  if (found != MAP_FAILED) seconds = found;
  close(file);
}

int clock_gettime(clockid_t id, struct timespec *now) {
  if (!original) start();
  int failed = original(id, now);
  if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += *seconds;
  return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec precise;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &precise)) return -1;
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}
