/* Calls in the wrong order, messages that lack something, an engine that is full or at its end: numbers, and nothing lost. */
#include "check.h"

static void take_report(pipelane_report *report, void *user) {
    (void)user;
    pipelane_report_free(report);
}

static void incomplete(pipelane_engine *engine, const char *next_hop) {
    pipelane_message *message;
    const uint8_t text[] = {'x'};
    OK(pipelane_message_new(&message));
    EXPECT(PIPELANE_ERR_INCOMPLETE, pipelane_engine_submit(engine, message, NULL, 0, NULL));
    CHECK(last_error_has("next hop"));
    OK(pipelane_message_set_next_hop(message, next_hop));
    EXPECT(PIPELANE_ERR_INCOMPLETE, pipelane_engine_submit(engine, message, NULL, 0, NULL));
    CHECK(last_error_has("sender"));
    OK(pipelane_message_set_sender(message, ""));
    EXPECT(PIPELANE_ERR_INCOMPLETE, pipelane_engine_submit(engine, message, NULL, 0, NULL));
    CHECK(last_error_has("recipient"));
    OK(pipelane_message_add_recipient(message, "b@example.net", NULL, NULL));
    EXPECT(PIPELANE_ERR_INCOMPLETE, pipelane_engine_submit(engine, message, NULL, 0, NULL));
    CHECK(last_error_has("content"));
    OK(pipelane_message_set_content_buffer(message, text, 1, PIPELANE_LINES_LF));
    OK(pipelane_engine_submit(engine, message, cookie_of(1), 0, NULL));
}

int main(int argc, char **argv) {
    CHECK(argc > 1);
    pipelane_config *config;
    pipelane_engine *engine;
    pipelane_report *report;
    pipelane_message *message;
    uint64_t number;
    const char *silent = silent_server();
    OK(pipelane_config_new(&config));
    OK(pipelane_config_set(config, "max_messages", "2"));
    OK(pipelane_engine_new(config, &engine));
    incomplete(engine, argv[1]);
    EXPECT(PIPELANE_ERR_STATE, pipelane_engine_set_callback(engine, take_report, NULL));
    EXPECT(PIPELANE_ERR_UNKNOWN, pipelane_engine_cancel(engine, 0));
    EXPECT(PIPELANE_ERR_UNKNOWN, pipelane_engine_cancel(engine, 77));
    OK(pipelane_engine_poll(engine, 30000, &report));
    CHECK(number_of(report) == 1 && pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED);
    pipelane_report_free(report);

    /* Full: the message stays the caller's. What waits can be called back. */
    OK(pipelane_engine_submit(engine, letter(silent, "b@example.net"), cookie_of(2), 0, &number));
    OK(pipelane_engine_submit(engine, letter(silent, "b@example.net"), cookie_of(3), 0, NULL));
    message = letter(silent, "b@example.net");
    double begun = seconds();
    EXPECT(PIPELANE_ERR_BUSY, pipelane_engine_submit(engine, message, NULL, 200, NULL));
    CHECK(seconds() - begun >= 0.15);
    EXPECT(PIPELANE_EMPTY, pipelane_engine_poll(engine, 0, &report));
    OK(pipelane_engine_cancel(engine, number));
    OK(pipelane_engine_poll(engine, 5000, &report));
    CHECK(number_of(report) == 2 && pipelane_report_outcome(report, 0) == PIPELANE_DEFERRED);
    CHECK(strstr(pipelane_report_text(report, 0), "withdrawn") != NULL);
    CHECK(pipelane_report_decided_by(report, 0) == NULL);
    CHECK(pipelane_report_server_name(report) == NULL && pipelane_report_server_port(report) == 0);
    CHECK(pipelane_report_lane(report) == NULL && pipelane_report_level(report) == NULL);
    pipelane_report_free(report);
    OK(pipelane_engine_submit(engine, message, cookie_of(4), 0, NULL));

    /* The end, and what comes behind it. */
    OK(pipelane_engine_drain(engine, 0));
    OK(pipelane_engine_drain(engine, -1));
    message = letter(argv[1], "b@example.net");
    EXPECT(PIPELANE_ERR_STOPPING, pipelane_engine_submit(engine, message, NULL, 0, NULL));
    EXPECT(PIPELANE_ERR_STOPPING, pipelane_deliver(engine, message, 0, &report));
    CHECK(report == NULL);
    pipelane_message_free(message);
    for (int i = 0; i < 2; i++) {
        OK(pipelane_engine_poll(engine, -1, &report));
        CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DEFERRED);
        pipelane_report_free(report);
    }
    EXPECT(PIPELANE_EMPTY, pipelane_engine_poll(engine, -1, &report));
    pipelane_engine_free(engine);
    pipelane_config_free(config);

    /* Time that runs out before anything is sent. */
    OK(pipelane_engine_new(NULL, &engine));
    begun = seconds();
    OK(pipelane_deliver(engine, letter(silent, "b@example.net"), 100, &report));
    CHECK(seconds() - begun < 3 && pipelane_report_outcome(report, 0) == PIPELANE_DEFERRED);
    pipelane_report_free(report);
    pipelane_engine_free(engine);
    return 0;
}
