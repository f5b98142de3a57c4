/* NULL for every pointer of every function: a number or nothing, never a crash, and nothing taken. */
#include "check.h"

#define NO(call) EXPECT(PIPELANE_ERR_NULL, call)

static void configurations(pipelane_config *config) {
    NO(pipelane_config_new(NULL));
    NO(pipelane_config_set(NULL, "lanes", "1"));
    NO(pipelane_config_set(config, NULL, "1"));
    NO(pipelane_config_set(config, "lanes", NULL));
    NO(pipelane_config_set_for(NULL, "h", "lanes", "1"));
    NO(pipelane_config_set_for(config, NULL, "lanes", "1"));
    NO(pipelane_config_set_for(config, "h", NULL, "1"));
    NO(pipelane_config_set_for(config, "h", "lanes", NULL));
    NO(pipelane_config_load_file(NULL, "/dev/null"));
    NO(pipelane_config_load_file(config, NULL));
    pipelane_config_free(NULL);
}

static void messages(pipelane_message *message) {
    const uint8_t octet = 'x';
    NO(pipelane_message_new(NULL));
    NO(pipelane_message_set_next_hop(NULL, "h"));
    NO(pipelane_message_set_next_hop(message, NULL));
    NO(pipelane_message_set_sender(NULL, ""));
    NO(pipelane_message_set_sender(message, NULL));
    NO(pipelane_message_add_recipient(NULL, "a@b", NULL, NULL));
    NO(pipelane_message_add_recipient(message, NULL, NULL, NULL));
    NO(pipelane_message_set_dsn(NULL, "FULL", "1"));
    OK(pipelane_message_set_dsn(message, NULL, NULL));
    NO(pipelane_message_set_body(NULL, PIPELANE_BODY_7BIT));
    NO(pipelane_message_set_smtputf8(NULL, 1));
    NO(pipelane_message_set_priority(NULL, 0));
    NO(pipelane_message_set_id(NULL, "id"));
    NO(pipelane_message_set_id(message, NULL));
    NO(pipelane_message_set_content_fd(NULL, 0, 0, 0, PIPELANE_LINES_LF));
    NO(pipelane_message_set_content_buffer(NULL, &octet, 1, PIPELANE_LINES_LF));
    NO(pipelane_message_set_content_buffer(message, NULL, 1, PIPELANE_LINES_LF));
    NO(pipelane_message_set_content_buffer(message, NULL, 0, PIPELANE_LINES_LF));
    pipelane_message_free(NULL);
}

static void reports(void) {
    CHECK(pipelane_report_cookie(NULL) == NULL && last_error_has("report is NULL"));
    CHECK(pipelane_report_number(NULL) == 0);
    CHECK(pipelane_report_recipients(NULL) == 0);
    CHECK(pipelane_report_address(NULL, 0) == NULL);
    CHECK(pipelane_report_outcome(NULL, 0) == PIPELANE_NO_OUTCOME);
    CHECK(pipelane_report_code(NULL, 0) == 0);
    CHECK(pipelane_report_status(NULL, 0) == NULL);
    CHECK(pipelane_report_text(NULL, 0) == NULL);
    CHECK(pipelane_report_decided_by(NULL, 0) == NULL);
    CHECK(pipelane_report_server_name(NULL) == NULL);
    CHECK(pipelane_report_server_address(NULL) == NULL);
    CHECK(pipelane_report_server_port(NULL) == 0);
    CHECK(pipelane_report_lane(NULL) == NULL);
    CHECK(pipelane_report_level(NULL) == NULL);
    CHECK(pipelane_report_queued_us(NULL) == 0);
    CHECK(pipelane_report_delivery_us(NULL) == 0);
    pipelane_report_free(NULL);
}

static void engines(pipelane_engine *engine, pipelane_message *message) {
    pipelane_engine *other = NULL;
    pipelane_report *report;
    OK(pipelane_engine_new(NULL, &other));
    pipelane_engine_free(other);
    NO(pipelane_engine_new(NULL, NULL));
    NO(pipelane_engine_set_callback(NULL, NULL, NULL));
    NO(pipelane_engine_submit(NULL, message, NULL, 0, NULL));
    NO(pipelane_engine_submit(engine, NULL, NULL, 0, NULL));
    NO(pipelane_engine_cancel(NULL, 1));
    NO(pipelane_engine_poll(NULL, 0, &report));
    NO(pipelane_engine_poll(engine, 0, NULL));
    CHECK(pipelane_engine_event_fd(NULL) == -1);
    CHECK(pipelane_engine_status_json(NULL, NULL, 0) == 0);
    NO(pipelane_engine_drain(NULL, 0));
    NO(pipelane_deliver(NULL, message, 0, &report));
    NO(pipelane_deliver(engine, NULL, 0, &report));
    NO(pipelane_deliver(engine, message, 0, NULL));
    pipelane_engine_free(NULL);
}

int main(int argc, char **argv) {
    CHECK(argc > 1);
    pipelane_config *config;
    pipelane_engine *engine;
    pipelane_report *report;
    pipelane_message *message = letter(argv[1], "b@example.net");
    OK(pipelane_config_new(&config));
    OK(pipelane_engine_new(config, &engine));
    OK(pipelane_set_log(NULL, NULL, PIPELANE_LOG_TRACE));
    CHECK(pipelane_last_error(NULL, 100) == 0);
    configurations(config);
    messages(message);
    reports();
    engines(engine, message);
    /* Nothing was taken or broken by all that. */
    OK(pipelane_deliver(engine, message, 30000, &report));
    CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED);
    pipelane_report_free(report);
    pipelane_engine_free(engine);
    pipelane_config_free(config);
    return 0;
}
