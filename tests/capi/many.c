/* Ten thousand messages (or as many as the second argument says) in and out of an engine by one thread, as a mail server would do it. */
#include "check.h"

#include <poll.h>

int main(int argc, char **argv) {
    CHECK(argc > 1);
    size_t wanted = argc > 2 ? (size_t)atol(argv[2]) : 10000, given = 0, got = 0;
    char *seen = (char *)calloc(wanted, 1);
    pipelane_engine *engine;
    pipelane_message *message = NULL;
    pipelane_report *report;
    OK(pipelane_engine_new(NULL, &engine));
    struct pollfd watch;
    watch.fd = pipelane_engine_event_fd(engine);
    watch.events = POLLIN;
    while (got < wanted) {
        int full = 0;
        while (given < wanted && !full) {
            if (message == NULL)
                message = letter(argv[1], "b@example.net");
            pipelane_result result = pipelane_engine_submit(engine, message, cookie_of(given), 0, NULL);
            full = result == PIPELANE_ERR_BUSY;
            CHECK(full || result == PIPELANE_OK);
            if (!full) {
                message = NULL;
                given++;
            }
        }
        CHECK(poll(&watch, 1, 60000) == 1);
        while (pipelane_engine_poll(engine, 0, &report) == PIPELANE_OK) {
            CHECK(number_of(report) < wanted && !seen[number_of(report)]);
            CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED);
            seen[number_of(report)] = 1;
            got++;
            pipelane_report_free(report);
        }
    }
    pipelane_message_free(message);
    pipelane_engine_free(engine);
    free(seen);
    return 0;
}
