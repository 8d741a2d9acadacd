/* Makes every fsync and fdatasync of a program last longer: an imitation of a slow disk for `python -m bench lane`.
   It imitates the wait, not what the kernel and the disk do meanwhile. Use it on tmpfs, where the real ones cost nothing.

       cc -O2 -shared -fPIC -o slow_fsync.so slow_fsync.c -ldl
       SLOW_FSYNC_US=4000 LD_PRELOAD=./slow_fsync.so python -m bench lane --directory /dev/shm */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_first(void)
{
    const char *microseconds = getenv("SLOW_FSYNC_US");
    if (microseconds)
        usleep((useconds_t)atoi(microseconds));
}

int fdatasync(int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_first();
    return real(file);
}

int fsync(int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_first();
    return real(file);
}
