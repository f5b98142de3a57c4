/*
 * A host with SIGPIPE as it is by default, and servers that reset: no signal, deferred. Lanes have the host's signals blocked; the
 * host's own mask and dispositions stay.
 */
#include "check.h"

#include <dirent.h>
#include <signal.h>

/* How many other threads of this process there are, and how many of them have SIGTERM blocked. */
static void count_threads(int *threads, int *blocked) {
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    CHECK(tasks != NULL);
    *threads = *blocked = 0;
    while ((task = readdir(tasks)) != NULL) {
        char path[300], line[300], name[300] = "";
        unsigned long long mask = 0;
        snprintf(path, sizeof path, "/proc/self/task/%.20s/status", task->d_name);
        FILE *status = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (status == NULL)
            continue;
        while (fgets(line, sizeof line, status) != NULL) {
            sscanf(line, "Name: %299[^\n]", name);
            sscanf(line, "SigBlk: %llx", &mask);
        }
        fclose(status);
        if (strncmp(name, "lane ", 5) == 0) {
            *threads += 1;
            *blocked += (mask >> (SIGTERM - 1) & 1) && (mask >> (SIGPIPE - 1) & 1) && !(mask >> (SIGSEGV - 1) & 1);
        }
    }
    closedir(tasks);
}

static void same_dispositions(struct sigaction *before) {
    for (int number = 1; number < 32; number++) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) == 0)
            CHECK(now.sa_handler == before[number].sa_handler && now.sa_flags == before[number].sa_flags);
    }
}

int main(int argc, char **argv) {
    CHECK(argc > 1);
    struct sigaction before[32];
    sigset_t mask_before, mask_after, ours;
    pipelane_config *config;
    pipelane_engine *engine;
    pipelane_report *report;
    static uint8_t large[1000000];
    int threads, blocked;
    signal(SIGPIPE, SIG_DFL);
    for (int number = 1; number < 32; number++)
        sigaction(number, NULL, &before[number]);
    sigemptyset(&ours);
    sigaddset(&ours, SIGUSR1);
    sigprocmask(SIG_SETMASK, &ours, NULL);
    sigprocmask(SIG_BLOCK, NULL, &mask_before);

    OK(pipelane_config_new(&config));
    OK(pipelane_config_set(config, "redispatches", "1"));
    OK(pipelane_engine_new(config, &engine));
    memset(large, 'x', sizeof large);
    for (size_t i = 0; i < sizeof large; i += 80)
        large[i] = '\n';
    for (size_t i = 0; i < 6; i++) {
        pipelane_message *message = letter(argv[1], i % 2 ? "reset@example.net" : "dropdot@example.net");
        OK(pipelane_message_set_content_buffer(message, large, sizeof large, PIPELANE_LINES_LF));
        OK(pipelane_engine_submit(engine, message, NULL, 1000, NULL));
    }
    for (int i = 0; i < 6; i++) {
        OK(pipelane_engine_poll(engine, 60000, &report));
        CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DEFERRED || pipelane_report_outcome(report, 0) == PIPELANE_IN_DOUBT);
        pipelane_report_free(report);
    }
    pipelane_engine_free(engine);

    OK(pipelane_engine_new(config, &engine));
    OK(pipelane_deliver(engine, letter(argv[1], "b@example.net"), 30000, &report));
    CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED);
    pipelane_report_free(report);
    count_threads(&threads, &blocked);
    CHECK(threads > 0 && threads == blocked);
    sigprocmask(SIG_BLOCK, NULL, &mask_after);
    for (int number = 1; number < 32; number++)
        CHECK(sigismember(&mask_before, number) == sigismember(&mask_after, number));
    same_dispositions(before);
    pipelane_engine_free(engine);
    count_threads(&threads, &blocked);
    CHECK(threads == 0);
    pipelane_config_free(config);
    return 0;
}
