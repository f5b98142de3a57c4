/*
 * send.c - sends one message, read from standard input.
 *
 *     cc send.c $(pkg-config --cflags --libs pipelane) -o send
 *     ./send '[relay.example.net]:25' a@example.org b@example.net < message
 *
 * Ends with 0 when every recipient was delivered, with 75 (try again later) when one is to be tried again, else with 69.
 */
#include <pipelane.h>

#include <stdio.h>
#include <stdlib.h>

/* Says what went wrong in the last call, and ends. */
static void fail(const char *what, pipelane_result result) {
    char why[500];
    pipelane_last_error(why, sizeof why);
    fprintf(stderr, "%s: %s: %s\n", what, pipelane_strerror(result), why);
    exit(75);
}

static void check(const char *what, pipelane_result result) {
    if (result != PIPELANE_OK)
        fail(what, result);
}

/* Reads all of standard input. */
static uint8_t *read_all(size_t *size) {
    size_t room = 65536;
    uint8_t *octets = (uint8_t *)malloc(room);
    *size = 0;
    while (octets != NULL) {
        *size += fread(octets + *size, 1, room - *size, stdin);
        if (*size < room)
            return octets;
        room *= 2;
        octets = (uint8_t *)realloc(octets, room);
    }
    fprintf(stderr, "no memory\n");
    exit(75);
}

/* Prints a line for each recipient and tells how to end. */
static int print(const pipelane_report *report) {
    static const char *const names[] = {"?", "delivered", "deferred", "failed", "in doubt"};
    int ending = 0;
    for (size_t i = 0; i < pipelane_report_recipients(report); i++) {
        int32_t outcome = pipelane_report_outcome(report, i);
        const char *name = outcome >= 0 && outcome <= 4 ? names[outcome] : names[0];
        printf("%s: %s, %d %s %s\n", pipelane_report_address(report, i), name, (int)pipelane_report_code(report, i),
               pipelane_report_status(report, i), pipelane_report_text(report, i));
        if (outcome == PIPELANE_FAILED && ending == 0)
            ending = 69;
        else if (outcome != PIPELANE_DELIVERED && outcome != PIPELANE_FAILED)
            ending = 75;
    }
    return ending;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: %s NEXTHOP SENDER RECIPIENT... < message\n", argv[0]);
        return 64;
    }
    size_t size;
    uint8_t *octets = read_all(&size);
    pipelane_engine *engine;
    pipelane_message *message;
    pipelane_report *report;
    check("engine", pipelane_engine_new(NULL, &engine));
    check("message", pipelane_message_new(&message));
    check(argv[1], pipelane_message_set_next_hop(message, argv[1]));
    check(argv[2], pipelane_message_set_sender(message, argv[2]));
    for (int i = 3; i < argc; i++)
        check(argv[i], pipelane_message_add_recipient(message, argv[i], NULL, NULL));
    check("content", pipelane_message_set_content_buffer(message, octets, size, PIPELANE_LINES_LF));
    check("deliver", pipelane_deliver(engine, message, 600 * 1000, &report));
    int ending = print(report);
    pipelane_report_free(report);
    pipelane_engine_free(engine);
    free(octets);
    return ending;
}
