/* Counts, records and stops at the steps that a process takes in one folder of a file system.
 *
 * Preloaded (LD_PRELOAD) it stands before libc's calls that change files, whoever makes them: Python, Arrow or zarrs.
 * `steps_arm(folder, last, log)`: from now on, calls on paths below `folder` are steps. Before step `last` the process
 * ends as if killed; a write is then half done. Each step done is appended to `log`:
 * kind, offset, length of path, of second path, of data, then these three.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static size_t folder_length;
static long taken, last = -1;
static int log_fd = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

long steps_taken(void) { return taken; }

void steps_arm(const char *where, long stop_before, const char *log)
{
    taken = 0;
    last = stop_before;
    log_fd = log && *log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    strncpy(folder, where, sizeof folder - 1);
    folder_length = strlen(folder);
}

static int below(const char *path)
{
    return folder_length && !strncmp(path, folder, folder_length) && (path[folder_length] == '/' || !path[folder_length]);
}

static void path_of_fd(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

static void path_at(int at, const char *name, char *path)
{
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char base[PATH_MAX];
    path_of_fd(at, base);
    if (at == AT_FDCWD)
        base[0] = 0;
    snprintf(path, PATH_MAX, "%.2000s/%.2000s", base, name);
}

static void note(char kind, int64_t offset, const char *path, const char *other, const void *data, size_t length)
{
    if (log_fd < 0)
        return;
    struct __attribute__((packed)) { char kind; int64_t offset; uint32_t path, other, data; } head =
        {kind, offset, (uint32_t)strlen(path), (uint32_t)strlen(other), (uint32_t)length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)other, head.other},
                            {(void *)data, length}};
    syscall(SYS_writev, log_fd, parts, 4);
}

static int due(void) { return taken++ == last; }

static void end(void) { syscall(SYS_kill, getpid(), 9); for (;;) pause(); }

#define STEP(kind, path, other, call)                       \
    do {                                                    \
        pthread_mutex_lock(&turn);                          \
        if (due())                                          \
            end();                                          \
        long done = (call);                                 \
        int why = errno;                                    \
        if (done >= 0)                                      \
            note(kind, 0, path, other, "", 0);              \
        pthread_mutex_unlock(&turn);                        \
        errno = why;                                        \
        return (int)done;                                   \
    } while (0)

static int opened(int at, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    int makes = flags & (O_CREAT | O_TRUNC);
    if (makes)
        path_at(at, name, path);
    if (makes && below(path))
        STEP('c', path, "", syscall(SYS_openat, at, name, flags, mode));
    return (int)syscall(SYS_openat, at, name, flags, mode);
}

#define MODE(flags)                                         \
    mode_t mode = 0;                                        \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                  \
        va_list rest;                                       \
        va_start(rest, flags);                              \
        mode = va_arg(rest, mode_t);                        \
        va_end(rest);                                       \
    }

int open(const char *name, int flags, ...) { MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int openat(int at, const char *name, int flags, ...) { MODE(flags) return opened(at, name, flags, mode); }
int openat64(int at, const char *name, int flags, ...) { MODE(flags) return opened(at, name, flags, mode); }

static ssize_t written(int fd, const void *data, size_t length, int64_t offset, int placed)
{
    char path[PATH_MAX] = "";
    if (folder_length && fd > 2)
        path_of_fd(fd, path);
    if (!below(path))
        return placed ? syscall(SYS_pwrite64, fd, data, length, offset) : syscall(SYS_write, fd, data, length);
    pthread_mutex_lock(&turn);
    int stop = due();
    if (stop)
        length /= 2;
    if (!placed)
        offset = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t done = placed ? syscall(SYS_pwrite64, fd, data, length, offset) : syscall(SYS_write, fd, data, length);
    int why = errno;
    if (stop)
        end();
    if (done >= 0)
        note('w', offset, path, "", data, (size_t)done);
    pthread_mutex_unlock(&turn);
    errno = why;
    return done;
}

ssize_t write(int fd, const void *data, size_t length) { return written(fd, data, length, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return written(fd, data, length, at, 1); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) { return written(fd, data, length, at, 1); }

static int synced(int fd)
{
    char path[PATH_MAX] = "";
    if (folder_length)
        path_of_fd(fd, path);
    if (below(path))
        STEP('s', path, "", syscall(SYS_fsync, fd));
    return (int)syscall(SYS_fsync, fd);
}

int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

static int truncated(int fd, int64_t length)
{
    char path[PATH_MAX] = "";
    if (folder_length)
        path_of_fd(fd, path);
    if (!below(path))
        return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&turn);
    if (due())
        end();
    int done = (int)syscall(SYS_ftruncate, fd, length), why = errno;
    if (!done)
        note('t', length, path, "", "", 0);
    pthread_mutex_unlock(&turn);
    errno = why;
    return done;
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncated(fd, length); }

static int renamed(int from, const char *old, int to, const char *new, unsigned flags)
{
    char path[PATH_MAX], other[PATH_MAX];
    path_at(from, old, path);
    path_at(to, new, other);
    if (below(path) || below(other))
        STEP('r', path, other, syscall(SYS_renameat2, from, old, to, new, flags));
    return (int)syscall(SYS_renameat2, from, old, to, new, flags);
}

int rename(const char *old, const char *new) { return renamed(AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int from, const char *old, int to, const char *new) { return renamed(from, old, to, new, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    return renamed(from, old, to, new, flags);
}

static int removed(int at, const char *name, int flags)
{
    char path[PATH_MAX];
    path_at(at, name, path);
    if (below(path))
        STEP(flags & AT_REMOVEDIR ? 'd' : 'u', path, "", syscall(SYS_unlinkat, at, name, flags));
    return (int)syscall(SYS_unlinkat, at, name, flags);
}

int unlink(const char *name) { return removed(AT_FDCWD, name, 0); }
int unlinkat(int at, const char *name, int flags) { return removed(at, name, flags); }
int rmdir(const char *name) { return removed(AT_FDCWD, name, AT_REMOVEDIR); }

static int made(int at, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    path_at(at, name, path);
    if (below(path))
        STEP('m', path, "", syscall(SYS_mkdirat, at, name, mode));
    return (int)syscall(SYS_mkdirat, at, name, mode);
}

int mkdir(const char *name, mode_t mode) { return made(AT_FDCWD, name, mode); }
int mkdirat(int at, const char *name, mode_t mode) { return made(at, name, mode); }
