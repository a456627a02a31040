/* Between a process and the C library: faults on chosen system calls, and a journal of everything that reaches a disk.
 *
 * Built by the tests and put under a real writer with LD_PRELOAD. Only files under one folder are watched (`faults_watch`), and the
 * shared memory of SQLite (`-shm`) never is. `faults_arm` makes the n-th call of a class fail, once or from there on; `faults_journal`
 * names a file that gets one record a call, in the order in which the calls returned. For Linux with glibc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum class { WRITE, SYNC, TRUNCATE, OPEN, READ, RENAME, UNLINK, CLASSES };
enum kind { FAIL, SHORT, TORN, HOLD, LIE };  /* TORN: half is written, then the call fails. LIE: nothing is done and success reported */

#define FILES 1024
static char names[FILES][PATH_MAX];  /* the path behind a descriptor; empty when it is not watched */
static char folder[PATH_MAX], filter[NAME_MAX], held[PATH_MAX], struck[PATH_MAX];
static int journal = -1;
static struct { int class, at, kind, error, lasting; } fault = {-1, 0, 0, 0, 0};
static atomic_int seen[CLASSES], injected;

static int watched(const char *path) {
    size_t length = strlen(folder), whole = strlen(path);
    if (!length || strncmp(path, folder, length) != 0 || (path[length] != '/' && path[length] != 0)) return 0;
    return whole < 4 || strcmp(path + whole - 4, "-shm") != 0;
}

static const char *name_of(int fd) { return fd >= 0 && fd < FILES && names[fd][0] ? names[fd] : NULL; }

static void note(char what, int fd, const char *path, const char *other, uint64_t at, const void *content, uint64_t length) {
    if (journal < 0) return;
    struct stat file = {0};
    if (fd >= 0) fstat(fd, &file);
    struct { uint32_t path, other; uint64_t inode, at, length; char what, pad[7]; } head = {
        (uint32_t)strlen(path), other ? (uint32_t)strlen(other) : 0, (uint64_t)file.st_ino, at, content ? length : 0, what, {0}};
    struct iovec parts[4] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)other, head.other}, {(void *)content, head.length}};
    int saved = errno;
    syscall(SYS_writev, journal, parts, 4);  /* O_APPEND: one record after another, whichever thread */
    errno = saved;
}

/* Whether this call is the one to fail (or a later one, of a lasting fault). */
static int strikes(enum class class, const char *path) {
    const char *base = strrchr(path, '/');
    size_t wanted = strlen(filter), length = strlen(base + 1);
    if (length < wanted || strcmp(base + 1 + length - wanted, filter) != 0) return 0;
    int number = atomic_fetch_add(&seen[class], 1);
    if (fault.class != (int)class || number < fault.at || (number > fault.at && !fault.lasting)) return 0;
    if (!atomic_fetch_add(&injected, 1)) snprintf(struck, sizeof struck, "%s", base + 1);
    return 1;
}

static void hold(void) {  /* until somebody makes the file `<held>.go` */
    char go[PATH_MAX + 4];
    snprintf(go, sizeof go, "%s.go", held);
    syscall(SYS_close, (int)syscall(SYS_openat, AT_FDCWD, held, O_CREAT | O_WRONLY, 0600));
    while (syscall(SYS_faccessat, AT_FDCWD, go, F_OK) != 0) usleep(1000);
}

/* For the process under test, through ctypes. */
void faults_watch(const char *where) { snprintf(folder, sizeof folder, "%s", where); }
void faults_journal(const char *path) { journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600); }
void faults_note(const char *text) { note('A', -1, "", NULL, 0, text, strlen(text)); }
int faults_seen(int class) { return atomic_load(&seen[class]); }
int faults_injected(void) { return atomic_load(&injected); }
const char *faults_struck(void) { return struck; }
void faults_arm(int class, int at, int kind, int error, int lasting, const char *suffix, const char *hold_file) {
    snprintf(filter, sizeof filter, "%s", suffix);
    snprintf(held, sizeof held, "%s", hold_file);
    for (int each = 0; each < CLASSES; each++) atomic_store(&seen[each], 0);
    atomic_store(&injected, 0);
    fault.class = class, fault.at = at, fault.kind = kind, fault.error = error, fault.lasting = lasting;
}

static int opened(int at, const char *path, int flags, mode_t mode) {
    int ours = at == AT_FDCWD && watched(path), fresh = ours && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0;
    if (ours && strikes(OPEN, path)) { errno = fault.error; return -1; }
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && fd < FILES) {
        names[fd][0] = 0;
        if (ours) {
            snprintf(names[fd], PATH_MAX, "%s", path);
            if (fresh) note('C', fd, path, NULL, 0, NULL, 0);
            if (!fresh && flags & O_TRUNC) note('T', fd, path, NULL, 0, NULL, 0);
        }
    }
    return fd;
}

#define MODE(flags, last) mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, last); mode = va_arg(list, mode_t); va_end(list); }
int open(const char *path, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags, flags) return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags, flags) return opened(at, path, flags | O_LARGEFILE, mode); }

int close(int fd) {
    if (fd >= 0 && fd < FILES) names[fd][0] = 0;
    return (int)syscall(SYS_close, fd);
}

static ssize_t written(int fd, const void *content, size_t count, off64_t at, int positioned) {
    const char *path = name_of(fd);
    size_t given = count;
    int failing = 0;
    if (path && strikes(WRITE, path)) {
        if (fault.kind == FAIL) { errno = fault.error; return -1; }
        if (fault.kind == HOLD) hold();
        if (fault.kind == LIE) return (ssize_t)count;
        if (fault.kind == SHORT || fault.kind == TORN) count = (count + 1) / 2;
        failing = fault.kind == TORN;
    }
    ssize_t done = positioned ? syscall(SYS_pwrite64, fd, content, count, at) : syscall(SYS_write, fd, content, count);
    if (path && done > 0) note('W', fd, path, NULL, (uint64_t)(positioned ? at : lseek64(fd, 0, SEEK_CUR) - done), content, (uint64_t)done);
    if (failing && given) { errno = fault.error; return -1; }
    return done;
}

ssize_t write(int fd, const void *content, size_t count) { return written(fd, content, count, 0, 0); }
ssize_t pwrite(int fd, const void *content, size_t count, off_t at) { return written(fd, content, count, at, 1); }
ssize_t pwrite64(int fd, const void *content, size_t count, off64_t at) { return written(fd, content, count, at, 1); }

static ssize_t was_read(int fd, void *content, size_t count, off64_t at, int positioned) {
    const char *path = name_of(fd);
    if (path && strikes(READ, path)) { errno = fault.error; return -1; }
    return positioned ? syscall(SYS_pread64, fd, content, count, at) : syscall(SYS_read, fd, content, count);
}

ssize_t read(int fd, void *content, size_t count) { return was_read(fd, content, count, 0, 0); }
ssize_t pread(int fd, void *content, size_t count, off_t at) { return was_read(fd, content, count, at, 1); }
ssize_t pread64(int fd, void *content, size_t count, off64_t at) { return was_read(fd, content, count, at, 1); }

static int synced(int fd, long call) {
    const char *path = name_of(fd);
    if (path && strikes(SYNC, path)) {
        if (fault.kind == LIE) return 0;
        if (fault.kind != HOLD) { errno = fault.error; return -1; }
        hold();
    }
    int done = (int)syscall(call, fd);
    if (path && done == 0) note('S', fd, path, NULL, 0, NULL, 0);
    return done;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int truncated(int fd, off64_t length) {
    const char *path = name_of(fd);
    if (path && strikes(TRUNCATE, path)) { errno = fault.error; return -1; }
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (path && done == 0) note('T', fd, path, NULL, (uint64_t)length, NULL, 0);
    return done;
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncated(fd, length); }

int rename(const char *old, const char *new) {
    if (watched(new) && strikes(RENAME, new)) { errno = fault.error; return -1; }
    int done = (int)syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
    if (watched(new) && done == 0) note('R', -1, old, new, 0, NULL, 0);
    return done;
}

int unlink(const char *path) {
    if (watched(path) && strikes(UNLINK, path)) { errno = fault.error; return -1; }
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (watched(path) && done == 0) note('U', -1, path, NULL, 0, NULL, 0);
    return done;
}

static int linked(int old_at, const char *old, int new_at, const char *new, int flags) {
    int done = (int)syscall(SYS_linkat, old_at, old, new_at, new, flags);
    if (watched(new) && done == 0) note('L', -1, old, new, 0, NULL, 0);
    return done;
}

int link(const char *old, const char *new) { return linked(AT_FDCWD, old, AT_FDCWD, new, 0); }
int linkat(int old_at, const char *old, int new_at, const char *new, int flags) { return linked(old_at, old, new_at, new, flags); }
