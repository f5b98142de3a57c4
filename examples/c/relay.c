/*
 * relay.c - sends every file of a directory as a message, by one thread with a poll(2) loop, as a mail server would.
 *
 *     cc relay.c $(pkg-config --cflags --libs pipelane) -o relay
 *     ./relay '[relay.example.net]:25' a@example.org b@example.net directory
 *
 * A file that was delivered is removed; one that was not stays for the next time. Ends with 0 when the directory is empty then, with 75
 * when something stays.
 */
#define _POSIX_C_SOURCE 200809L

#include <pipelane.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct relay {
    const char *next_hop;
    const char *sender;
    const char *recipient;
    pipelane_engine *engine;
    size_t on_their_way;
    size_t left;
};

static void complain(const char *what) {
    char why[500];
    pipelane_last_error(why, sizeof why);
    fprintf(stderr, "%s: %s\n", what, why);
}

/* Deals with one report: the cookie is the file's name, and ours again. */
static void take(struct relay *relay, pipelane_report *report) {
    char *name = (char *)pipelane_report_cookie(report);
    int32_t outcome = pipelane_report_outcome(report, 0);
    relay->on_their_way--;
    if (outcome == PIPELANE_DELIVERED && unlink(name) == 0)
        printf("%s: delivered by %s (%s)\n", name, pipelane_report_server_name(report), pipelane_report_level(report));
    else {
        relay->left++;
        printf("%s: %s: %s %s\n", name, outcome == PIPELANE_FAILED ? "refused" : "not now", pipelane_report_status(report, 0),
               pipelane_report_text(report, 0));
    }
    free(name);
    pipelane_report_free(report);
}

static void take_what_is_there(struct relay *relay) {
    pipelane_report *report;
    while (pipelane_engine_poll(relay->engine, 0, &report) == PIPELANE_OK)
        take(relay, report);
}

/* Waits in poll(2), where a server would wait for its clients too. */
static void wait_for_reports(struct relay *relay) {
    struct pollfd watch;
    watch.fd = pipelane_engine_event_fd(relay->engine);
    watch.events = POLLIN;
    if (poll(&watch, 1, -1) < 0 && errno != EINTR)
        abort();
    take_what_is_there(relay);
}

/* A message whose content stays in its file; NULL when there is something wrong with it. */
static pipelane_message *message_of(const struct relay *relay, const char *name) {
    pipelane_message *message = NULL;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(name);
        return NULL;
    }
    if (pipelane_message_new(&message) != PIPELANE_OK ||
        pipelane_message_set_id(message, name) != PIPELANE_OK ||
        pipelane_message_set_next_hop(message, relay->next_hop) != PIPELANE_OK ||
        pipelane_message_set_sender(message, relay->sender) != PIPELANE_OK ||
        pipelane_message_add_recipient(message, relay->recipient, NULL, NULL) != PIPELANE_OK ||
        pipelane_message_set_content_fd(message, fd, 0, UINT64_MAX, PIPELANE_LINES_LF) != PIPELANE_OK) {
        complain(name);
        pipelane_message_free(message);
        message = NULL;
    }
    close(fd);
    return message;
}

/* Hands a file over. While the engine is full, room comes with the reports. */
static void hand_over(struct relay *relay, char *name) {
    pipelane_result result = PIPELANE_ERR_INCOMPLETE;
    pipelane_message *message = message_of(relay, name);
    if (message != NULL) {
        while ((result = pipelane_engine_submit(relay->engine, message, name, 0, NULL)) == PIPELANE_ERR_BUSY)
            wait_for_reports(relay);
    }
    if (result == PIPELANE_OK) {
        relay->on_their_way++;
        return;
    }
    if (message != NULL)
        complain(name);
    relay->left++;
    pipelane_message_free(message);
    free(name);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: %s NEXTHOP SENDER RECIPIENT DIRECTORY\n", argv[0]);
        return 64;
    }
    struct relay relay = {argv[1], argv[2], argv[3], NULL, 0, 0};
    DIR *directory = opendir(argv[4]);
    if (directory == NULL || chdir(argv[4]) != 0) {
        perror(argv[4]);
        return 66;
    }
    if (pipelane_engine_new(NULL, &relay.engine) != PIPELANE_OK) {
        complain("engine");
        return 75;
    }
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.') {
            char *name = strdup(entry->d_name);
            if (name == NULL)
                abort();
            hand_over(&relay, name);
            take_what_is_there(&relay);
        }
    }
    while (relay.on_their_way > 0)
        wait_for_reports(&relay);
    pipelane_engine_free(relay.engine);
    closedir(directory);
    return relay.left == 0 ? 0 : 75;
}
