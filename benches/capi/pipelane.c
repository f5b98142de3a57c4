/* pipelane PORT MESSAGES OCTETS [LEVEL]: sends that many messages by one connection and one thread that polls. */
#define _GNU_SOURCE
#include "common.h"

#include <pipelane.h>
#include <poll.h>

static void check(pipelane_result result) {
    char why[500];
    if (result == PIPELANE_OK)
        return;
    pipelane_last_error(why, sizeof why);
    fprintf(stderr, "%s: %s\n", pipelane_strerror(result), why);
    exit(1);
}

static pipelane_engine *make_engine(const char *level) {
    pipelane_config *config;
    pipelane_engine *engine;
    check(pipelane_config_new(&config));
    check(pipelane_config_set(config, "order", "unsorted"));
    check(pipelane_config_set(config, "lanes", "1"));
    check(pipelane_config_set(config, "max_level", level));
    check(pipelane_engine_new(config, &engine));
    pipelane_config_free(config);
    return engine;
}

static pipelane_message *make_message(const char *next_hop, const char *text, size_t size) {
    pipelane_message *message;
    check(pipelane_message_new(&message));
    check(pipelane_message_set_next_hop(message, next_hop));
    check(pipelane_message_set_sender(message, SENDER));
    check(pipelane_message_add_recipient(message, RECIPIENT, NULL, NULL));
    check(pipelane_message_set_content_buffer(message, (const uint8_t *)text, size, PIPELANE_LINES_CRLF));
    return message;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 64;
    long wanted = atol(argv[2]), given = 0, got = 0, delivered = 0;
    char next_hop[40], *text = make_text((size_t)atol(argv[3]));
    size_t size = strlen(text);
    pipelane_message *message = NULL;
    pipelane_report *report;
    snprintf(next_hop, sizeof next_hop, "[127.0.0.1]:%s", argv[1]);
    double begun = wall(), used = cpu();
    pipelane_engine *engine = make_engine(argc > 4 ? argv[4] : "stream");
    struct pollfd watch = {pipelane_engine_event_fd(engine), POLLIN, 0};
    while (got < wanted) {
        for (int full = 0; given < wanted && !full;) {
            if (message == NULL)
                message = make_message(next_hop, text, size);
            pipelane_result result = pipelane_engine_submit(engine, message, NULL, 0, NULL);
            full = result == PIPELANE_ERR_BUSY;
            if (!full) {
                check(result);
                message = NULL;
                given++;
            }
        }
        poll(&watch, 1, -1);
        while (pipelane_engine_poll(engine, 0, &report) == PIPELANE_OK) {
            delivered += pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED;
            got++;
            pipelane_report_free(report);
        }
    }
    double seconds = wall() - begun;
    pipelane_engine_free(engine);
    return result("pipelane", wanted, delivered, seconds, cpu() - used);
}
