/* The end with lanes that are busy with a server half a minute away: within its bound, and no report lost before it. */
#include "check.h"

static pipelane_engine *busy_engine(const char *next_hop, size_t messages) {
    pipelane_config *config;
    pipelane_engine *engine;
    OK(pipelane_config_new(&config));
    OK(pipelane_config_set(config, "trust", "stream"));
    OK(pipelane_engine_new(config, &engine));
    pipelane_config_free(config);
    for (size_t i = 0; i < messages; i++)
        OK(pipelane_engine_submit(engine, letter(next_hop, "b@example.net"), cookie_of(i), 1000, NULL));
    pause_ms(300);
    return engine;
}

int main(int argc, char **argv) {
    CHECK(argc > 1);
    pipelane_report *report;
    pipelane_engine *engine = busy_engine(argv[1], 200);
    double begun = seconds();
    pipelane_engine_free(engine);
    CHECK(seconds() - begun < 6);

    engine = busy_engine(argv[1], 200);
    begun = seconds();
    OK(pipelane_engine_drain(engine, 200));
    CHECK(seconds() - begun < 6);
    int reports = 0;
    while (pipelane_engine_poll(engine, -1, &report) == PIPELANE_OK) {
        CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DEFERRED ||
              pipelane_report_outcome(report, 0) == PIPELANE_IN_DOUBT);
        pipelane_report_free(report);
        reports++;
    }
    CHECK(reports == 200);
    pipelane_engine_free(engine);

    /* One message: its time runs out while the server is silent. */
    engine = busy_engine(argv[1], 0);
    begun = seconds();
    OK(pipelane_deliver(engine, letter(argv[1], "b@example.net"), 300, &report));
    CHECK(seconds() - begun < 3);
    CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DEFERRED || pipelane_report_outcome(report, 0) == PIPELANE_IN_DOUBT);
    pipelane_report_free(report);
    pipelane_engine_free(engine);
    return 0;
}
