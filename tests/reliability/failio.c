/* Fails, tears or kills the n-th write, fsync, truncate or unlink on files whose path contains FAIL_PATH.
 *
 *   gcc -O1 -shared -fPIC -o failio.so failio.c -ldl
 *   FAIL_COUNT=count.txt FAIL_PATH=x.db LD_PRELOAD=./failio.so COMMAND     how many such calls it makes
 *   FAIL_AT=7 FAIL_MODE=eio|enospc|kill|tear [FAIL_STICKY=1] FAIL_PATH=x.db LD_PRELOAD=./failio.so COMMAND
 *
 * "tear" writes half and dies. A forked child reads the variables anew and counts from the start. Linux, dynamically
 * linked libc. The page cache survives: this is no power-loss test.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static long n, at; static pid_t process; static const char *mode, *path; static int sticky;
static void init(void) {
  if (process == getpid()) return;
  process = getpid(); n = 0;
  char *s = getenv("FAIL_AT"); at = s ? atol(s) : -1;
  if (!(mode = getenv("FAIL_MODE"))) mode = "eio";
  path = getenv("FAIL_PATH"); sticky = getenv("FAIL_STICKY") != NULL; }
static int ours(int fd) {
  char l[64], p[4096]; snprintf(l, 64, "/proc/self/fd/%d", fd);
  ssize_t k = path ? readlink(l, p, 4095) : -1; if (k < 0) return 0; p[k] = 0;
  return strstr(p, path) != NULL; }
static int hit(void) {                       /* 0 go on, 1 fail, 2 tear and die */
  n++; if (at < 0 || !(n == at || (sticky && n > at))) return 0;
  if (!strcmp(mode, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(mode, "tear")) return 2;
  errno = strcmp(mode, "enospc") ? EIO : ENOSPC; return 1; }
static int cut(void) { int h = hit(); if (h == 2) kill(getpid(), SIGKILL); return h; }
#define REAL(r, name, ...) static r (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, name); init()
ssize_t write(int fd, const void *b, size_t c) { REAL(ssize_t, "write", int, const void *, size_t);
  if (ours(fd)) { int h = hit(); if (h == 1) return -1; if (h == 2) { real(fd, b, c / 2); kill(getpid(), SIGKILL); } }
  return real(fd, b, c); }
ssize_t pwrite(int fd, const void *b, size_t c, off_t o) { REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
  if (ours(fd)) { int h = hit(); if (h == 1) return -1; if (h == 2) { real(fd, b, c / 2, o); kill(getpid(), SIGKILL); } }
  return real(fd, b, c, o); }
ssize_t pwrite64(int fd, const void *b, size_t c, off64_t o) { REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  if (ours(fd)) { int h = hit(); if (h == 1) return -1; if (h == 2) { real(fd, b, c / 2, o); kill(getpid(), SIGKILL); } }
  return real(fd, b, c, o); }
int fsync(int fd) { REAL(int, "fsync", int); return ours(fd) && cut() ? -1 : real(fd); }
int fdatasync(int fd) { REAL(int, "fdatasync", int); return ours(fd) && cut() ? -1 : real(fd); }
int ftruncate(int fd, off_t o) { REAL(int, "ftruncate", int, off_t); return ours(fd) && cut() ? -1 : real(fd, o); }
int ftruncate64(int fd, off64_t o) { REAL(int, "ftruncate64", int, off64_t); return ours(fd) && cut() ? -1 : real(fd, o); }
int unlink(const char *p) { REAL(int, "unlink", const char *); return path && strstr(p, path) && cut() ? -1 : real(p); }
int rename(const char *p, const char *q) { REAL(int, "rename", const char *, const char *);
  return path && strstr(q, path) && cut() ? -1 : real(p, q); }
__attribute__((destructor)) static void bye(void) {
  char *f = getenv("FAIL_COUNT"); FILE *o = f ? fopen(f, "w") : 0; if (o) { fprintf(o, "%ld", n); fclose(o); } }
