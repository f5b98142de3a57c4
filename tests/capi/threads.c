/* Several threads hand over, several poll; each report comes once, to one of them. Then the same by callback. */
#include "check.h"

#include <pthread.h>

enum { EACH = 250, GIVERS = 3, TAKERS = 4, ALL = EACH * GIVERS };

static const char *next_hop;
static pipelane_engine *engine;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int seen[ALL], total;

static void note(pipelane_report *report) {
    CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED);
    pthread_mutex_lock(&lock);
    CHECK(number_of(report) < ALL);
    seen[number_of(report)]++;
    total++;
    pthread_mutex_unlock(&lock);
    pipelane_report_free(report);
}

static void *give(void *first) {
    for (size_t i = 0; i < EACH; i++) {
        pipelane_message *message = letter(next_hop, "b@example.net");
        OK(pipelane_engine_submit(engine, message, cookie_of((size_t)(uintptr_t)first + i), -1, NULL));
    }
    return NULL;
}

/* Until the engine is drained and all is got. */
static void *take(void *unused) {
    pipelane_report *report;
    while (pipelane_engine_poll(engine, -1, &report) == PIPELANE_OK)
        note(report);
    return unused;
}

static void on_report(pipelane_report *report, void *user) {
    CHECK(user == cookie_of(5));
    /* The one function of an engine that is allowed here. */
    EXPECT(PIPELANE_ERR_UNKNOWN, pipelane_engine_cancel(engine, pipelane_report_number(report)));
    note(report);
}

static void give_all(void) {
    pthread_t givers[GIVERS];
    for (size_t i = 0; i < GIVERS; i++)
        CHECK(pthread_create(&givers[i], NULL, give, cookie_of(i * EACH)) == 0);
    for (size_t i = 0; i < GIVERS; i++)
        pthread_join(givers[i], NULL);
}

static void await_total(int wanted) {
    int now = 0;
    for (int i = 0; i < 1200 && now < wanted; i++) {
        pause_ms(50);
        pthread_mutex_lock(&lock);
        now = total;
        pthread_mutex_unlock(&lock);
    }
}

static void all_seen(int times) {
    CHECK(total == times * ALL);
    for (int i = 0; i < ALL; i++)
        CHECK(seen[i] == times);
}

int main(int argc, char **argv) {
    CHECK(argc > 1);
    next_hop = argv[1];
    pthread_t takers[TAKERS];
    OK(pipelane_engine_new(NULL, &engine));
    for (int i = 0; i < TAKERS; i++)
        CHECK(pthread_create(&takers[i], NULL, take, NULL) == 0);
    give_all();
    await_total(ALL);
    OK(pipelane_engine_drain(engine, 0));
    for (int i = 0; i < TAKERS; i++)
        pthread_join(takers[i], NULL);
    pipelane_engine_free(engine);
    all_seen(1);

    OK(pipelane_engine_new(NULL, &engine));
    OK(pipelane_engine_set_callback(engine, on_report, cookie_of(5)));
    give_all();
    await_total(2 * ALL);
    pipelane_engine_free(engine);
    all_seen(2);
    return 0;
}
