// Forks children of which each has to end well, and in a time that only a deadlock takes.
#ifndef CHILDREN_H
#define CHILDREN_H

#include "check.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Only a child that hangs lives so long.
#ifndef CHILD_LIVES_S
#define CHILD_LIVES_S 300
#endif

static inline uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void pause_shortly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

// Waits until it is so; longer than a busy machine needs.
#define EVENTUALLY(condition)           \
    for (int i = 0; !(condition); i++) { \
        CHECK(i < 30000 && #condition); \
        pause_shortly();                \
    }

// `run` is what a child does; it ends with 0 unless a check fails.
static inline pid_t fork_child(void (*run)(void *, int), void *argument, int number)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(CHILD_LIVES_S);
        run(argument, number);
        _exit(0);
    }
    return child;
}

static inline void wait_for_child(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 0)
        fprintf(stderr, "child %d ended with %#x%s\n", (int)child, (unsigned)status,
                WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    CHECK(status == 0);
}

#endif
