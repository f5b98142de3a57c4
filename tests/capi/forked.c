/* In a child of fork() the parent's handles do nothing; the child may make its own; the parent notices nothing. */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

#define NO(call) EXPECT(PIPELANE_ERR_FORKED, call)

static const char *next_hop;
static pipelane_config *config;
static pipelane_engine *engine;
static pipelane_message *message;
static pipelane_report *done;

static void handles_of_the_parent(void) {
    pipelane_engine *other;
    pipelane_report *report;
    const uint8_t octet = 'x';
    NO(pipelane_config_set(config, "lanes", "1"));
    NO(pipelane_config_set_for(config, "h", "lanes", "1"));
    NO(pipelane_config_load_file(config, "/dev/null"));
    NO(pipelane_engine_new(config, &other));
    NO(pipelane_message_set_next_hop(message, "h"));
    NO(pipelane_message_set_sender(message, ""));
    NO(pipelane_message_add_recipient(message, "a@b", NULL, NULL));
    NO(pipelane_message_set_dsn(message, NULL, NULL));
    NO(pipelane_message_set_body(message, PIPELANE_BODY_7BIT));
    NO(pipelane_message_set_smtputf8(message, 1));
    NO(pipelane_message_set_priority(message, 0));
    NO(pipelane_message_set_id(message, "id"));
    NO(pipelane_message_set_content_fd(message, 0, 0, 0, PIPELANE_LINES_LF));
    NO(pipelane_message_set_content_buffer(message, &octet, 1, PIPELANE_LINES_LF));
    NO(pipelane_engine_set_callback(engine, NULL, NULL));
    NO(pipelane_engine_submit(engine, message, NULL, 0, NULL));
    NO(pipelane_engine_cancel(engine, 1));
    NO(pipelane_engine_poll(engine, -1, &report));
    CHECK(pipelane_engine_event_fd(engine) == -1);
    CHECK(pipelane_engine_status_json(engine, NULL, 0) == 0 && last_error_has("fork"));
    NO(pipelane_engine_drain(engine, -1));
    NO(pipelane_deliver(engine, message, -1, &report));
    CHECK(pipelane_report_recipients(done) == 0 && last_error_has("fork"));
    pipelane_report_free(done);
    pipelane_message_free(message);
    pipelane_engine_free(engine);
    pipelane_config_free(config);
}

static void handles_of_the_child(void) {
    pipelane_engine *own;
    pipelane_report *report;
    OK(pipelane_engine_new(NULL, &own));
    OK(pipelane_deliver(own, letter(next_hop, "child@example.net"), 30000, &report));
    CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED);
    pipelane_report_free(report);
    /* A message of the parent is not for an engine of the child either. */
    EXPECT(PIPELANE_ERR_FORKED, pipelane_engine_submit(own, message, NULL, 0, NULL));
    pipelane_engine_free(own);
}

int main(int argc, char **argv) {
    CHECK(argc > 1);
    next_hop = argv[1];
    OK(pipelane_config_new(&config));
    OK(pipelane_engine_new(config, &engine));
    OK(pipelane_deliver(engine, letter(next_hop, "first@example.net"), 30000, &done));
    for (size_t i = 0; i < 20; i++)
        OK(pipelane_engine_submit(engine, letter(next_hop, "b@example.net"), cookie_of(i), 1000, NULL));
    message = letter(next_hop, "last@example.net");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        handles_of_the_parent();
        handles_of_the_child();
        /* Not exit(): what was leaked on purpose is no business of a leak checker. */
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (int i = 0; i < 20; i++) {
        pipelane_report *report;
        OK(pipelane_engine_poll(engine, 30000, &report));
        CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED);
        pipelane_report_free(report);
    }
    pipelane_report *report;
    OK(pipelane_deliver(engine, message, 30000, &report));
    CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED);
    pipelane_report_free(report);
    pipelane_report_free(done);
    pipelane_engine_free(engine);
    pipelane_config_free(config);
    return 0;
}
