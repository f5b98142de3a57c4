/*
 * What every test of the C library needs: checks that name their line, a message ready to go, a clock.
 *
 * A test is a program. Its first argument is the next hop of a sink; it ends with 0 when all is well. It is compiled as C99 and as C++.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pipelane.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static inline void check_failed(const char *file, int line, const char *what) {
    char why[1000];
    pipelane_last_error(why, sizeof why);
    fprintf(stderr, "%s:%d: %s (last error: %s)\n", file, line, what, why);
    exit(1);
}

/* Ends the test when the condition does not hold. */
#define CHECK(condition) \
    do { \
        if (!(condition)) \
            check_failed(__FILE__, __LINE__, #condition); \
    } while (0)

/* The call must give this result. */
#define EXPECT(result, call) \
    do { \
        pipelane_result got_ = (call); \
        if (got_ != (result)) { \
            fprintf(stderr, "got %d: ", (int)got_); \
            check_failed(__FILE__, __LINE__, #call " must be " #result); \
        } \
    } while (0)

#define OK(call) EXPECT(PIPELANE_OK, call)

/* Whether the last failure's text has this in it. */
static inline int last_error_has(const char *part) {
    char why[1000];
    pipelane_last_error(why, sizeof why);
    return strstr(why, part) != NULL;
}

/* A message with a short content. */
static inline pipelane_message *letter(const char *next_hop, const char *recipient) {
    static const char text[] = "Subject: a letter\r\n\r\nHello.\r\n";
    pipelane_message *message;
    OK(pipelane_message_new(&message));
    OK(pipelane_message_set_next_hop(message, next_hop));
    OK(pipelane_message_set_sender(message, "a@example.org"));
    OK(pipelane_message_add_recipient(message, recipient, NULL, NULL));
    OK(pipelane_message_set_content_buffer(message, (const uint8_t *)text, sizeof text - 1, PIPELANE_LINES_CRLF));
    return message;
}

/* The next hop of a server that takes connections and says nothing, for as long as this process lives. */
static inline const char *silent_server(void) {
    static char next_hop[40];
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 50) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    snprintf(next_hop, sizeof next_hop, "[127.0.0.1]:%d", (int)ntohs(address.sin_port));
    return next_hop;
}

/* A cookie that is a number. */
static inline void *cookie_of(size_t number) { return (void *)(uintptr_t)number; }

static inline size_t number_of(const pipelane_report *report) { return (size_t)(uintptr_t)pipelane_report_cookie(report); }

static inline double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline void pause_ms(long ms) {
    struct timespec time;
    time.tv_sec = ms / 1000;
    time.tv_nsec = ms % 1000 * 1000000;
    nanosleep(&time, NULL);
}

#endif
