// The C library's way out of the program: there is none. What it would ask WASI for fails here, inside the component, so that printf,
// a clock or a file do nothing instead of keeping the component from being made. Not to be changed.
#include <stdint.h>

enum { BAD_FILE = 8 };

#define NOTHING(name, ...) \
    int32_t __imported_wasi_snapshot_preview1_##name(__VA_ARGS__); \
    int32_t __imported_wasi_snapshot_preview1_##name(__VA_ARGS__) { return BAD_FILE; }

NOTHING(fd_close, int32_t fd)
NOTHING(fd_write, int32_t fd, int32_t vectors, int32_t count, int32_t written)
NOTHING(fd_read, int32_t fd, int32_t vectors, int32_t count, int32_t read)
NOTHING(fd_seek, int32_t fd, int64_t offset, int32_t whence, int32_t position)
NOTHING(fd_fdstat_get, int32_t fd, int32_t stat)
NOTHING(clock_time_get, int32_t clock, int64_t precision, int32_t time)
NOTHING(random_get, int32_t buffer, int32_t length)
NOTHING(environ_get, int32_t environment, int32_t buffer)
NOTHING(environ_sizes_get, int32_t count, int32_t size)

_Noreturn void __imported_wasi_snapshot_preview1_proc_exit(int32_t code);
_Noreturn void __imported_wasi_snapshot_preview1_proc_exit(int32_t code) {
    (void)code;
    __builtin_trap();
}
