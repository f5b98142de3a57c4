/* What both clients of the benchmark have in common: the mail, and what is measured. */
#ifndef COMMON_H
#define COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SENDER "a@example.org"
#define RECIPIENT "b@example.net"

static const char head[] = "Date: Mon, 01 Jan 2024 00:00:00 +0000\r\n"
                           "From: <a@example.org>\r\n"
                           "To: <b@example.net>\r\n"
                           "Message-Id: <1@example.org>\r\n"
                           "Subject: one of many\r\n"
                           "\r\n";

/* A message of about this size, as it goes on the wire. */
static inline char *make_text(size_t octets) {
    static const char line[] = "The quick brown fox jumps over the lazy dog, and does so once again.\r\n";
    char *text = (char *)malloc(octets + sizeof head + sizeof line);
    if (text == NULL)
        abort();
    strcpy(text, head);
    for (size_t at = sizeof head - 1; at < octets; at += sizeof line - 1)
        strcpy(text + at, line);
    return text;
}

static inline double wall(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Seconds of CPU that this process has used, all its threads together. */
static inline double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* name, messages, seconds, CPU seconds: for scripts/bench-capi. */
static inline int result(const char *name, long messages, long delivered, double seconds, double used) {
    printf("%s %ld %.3f %.3f\n", name, messages, seconds, used);
    if (delivered != messages)
        fprintf(stderr, "%s: only %ld of %ld were delivered\n", name, delivered, messages);
    return delivered == messages ? 0 : 1;
}

#endif
