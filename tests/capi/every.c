/* Every function of the header, used as it is meant to be. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int lines_logged, errors_logged;

static void log_line(int32_t level, const char *text, void *user) {
    pthread_mutex_lock(&lock);
    CHECK(user == cookie_of(99));
    CHECK(level >= PIPELANE_LOG_ERROR && level <= PIPELANE_LOG_DEBUG);
    lines_logged += strstr(text, "queue-id-1: ") != NULL;
    errors_logged += level == PIPELANE_LOG_ERROR;
    pthread_mutex_unlock(&lock);
}

static void versions(void) {
    char expected[40];
    snprintf(expected, sizeof expected, "%d.%d.%d", PIPELANE_VERSION_MAJOR, PIPELANE_VERSION_MINOR, PIPELANE_VERSION_PATCH);
    CHECK(strcmp(pipelane_version(), expected) == 0);
    CHECK(pipelane_abi() == PIPELANE_ABI);
    CHECK(PIPELANE_VERSION_NUMBER ==
          (PIPELANE_VERSION_MAJOR * 1000 + PIPELANE_VERSION_MINOR) * 100 + PIPELANE_VERSION_PATCH);
}

static void errors(void) {
    char room[8];
    char whole[500];
    CHECK(pipelane_last_error(whole, sizeof whole) == 0 && whole[0] == '\0');
    CHECK(strcmp(pipelane_strerror(PIPELANE_ERR_KEY), "no such key") == 0);
    CHECK(strcmp(pipelane_strerror(-7), "no such result") == 0);
    EXPECT(PIPELANE_ERR_NULL, pipelane_message_new(NULL));
    CHECK(pipelane_last_error(NULL, 0) == strlen("message is NULL"));
    CHECK(pipelane_last_error(room, sizeof room) == strlen("message is NULL"));
    CHECK(strcmp(room, "message") == 0);
}

static pipelane_config *configuration(const char *next_hop) {
    char name[] = "/tmp/pipelane-capi-XXXXXX";
    int fd = mkstemp(name);
    const char *good = "[limits]\nmessages = 50\n[defaults]\nredispatches = 1\n";
    const char *bad = "[limits]\nmessagse = 50\n";
    pipelane_config *config;
    pipelane_engine *engine;
    CHECK(fd >= 0 && write(fd, good, strlen(good)) == (ssize_t)strlen(good));
    OK(pipelane_config_new(&config));
    OK(pipelane_config_load_file(config, name));
    CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, bad, strlen(bad), 0) == (ssize_t)strlen(bad));
    EXPECT(PIPELANE_ERR_CONFIG_FILE, pipelane_config_load_file(config, name));
    CHECK(last_error_has(":2: ") && last_error_has("did you mean \"messages\"?"));
    close(fd);
    unlink(name);
    EXPECT(PIPELANE_ERR_CONFIG_FILE, pipelane_config_load_file(config, name));
    OK(pipelane_config_set(config, "idle_timeout", "10s"));
    OK(pipelane_config_set(config, "content_memory", "64K"));
    OK(pipelane_config_set_for(config, next_hop, "window_messages", "7"));
    EXPECT(PIPELANE_ERR_KEY, pipelane_config_set(config, "no_such_key", "1"));
    EXPECT(PIPELANE_ERR_KEY, pipelane_config_set(config, "max_clients", "1"));
    CHECK(last_error_has("[listen]"));
    EXPECT(PIPELANE_ERR_KEY, pipelane_config_set_for(config, next_hop, "messages", "1"));
    EXPECT(PIPELANE_ERR_VALUE, pipelane_config_set(config, "window_messages", "many"));
    EXPECT(PIPELANE_ERR_NEXT_HOP, pipelane_config_set_for(config, "not a hop", "lanes", "1"));
    EXPECT(PIPELANE_ERR_TEXT, pipelane_config_set(config, "helo_name", "\xff"));
    OK(pipelane_config_set_for(config, next_hop, "lanes", "1 2 3"));
    EXPECT(PIPELANE_ERR_CONFLICT, pipelane_engine_new(config, &engine));
    CHECK(engine == NULL && last_error_has("lanes"));
    OK(pipelane_config_set_for(config, next_hop, "lanes", "1 2 3 4"));
    return config;
}

static pipelane_message *with_everything(const char *next_hop) {
    pipelane_message *message = letter(next_hop, "b@example.net");
    OK(pipelane_message_add_recipient(message, "reject-550@example.net", "SUCCESS,FAILURE", "rfc822;b+2Bx@example.net"));
    OK(pipelane_message_add_recipient(message, "defer-450@example.net", "NEVER", NULL));
    OK(pipelane_message_set_dsn(message, "HDRS", "envelope+2B1"));
    OK(pipelane_message_set_body(message, PIPELANE_BODY_8BITMIME));
    OK(pipelane_message_set_smtputf8(message, 0));
    OK(pipelane_message_set_priority(message, 4));
    OK(pipelane_message_set_id(message, "queue-id-1"));
    EXPECT(PIPELANE_ERR_PARAMETER, pipelane_message_set_dsn(message, "ALL", NULL));
    EXPECT(PIPELANE_ERR_PARAMETER, pipelane_message_set_dsn(message, NULL, "no+xtext"));
    EXPECT(PIPELANE_ERR_PARAMETER, pipelane_message_add_recipient(message, "c@example.net", "NEVER\r\nDATA", NULL));
    EXPECT(PIPELANE_ERR_PARAMETER, pipelane_message_add_recipient(message, "c@example.net", "SOMETIMES", NULL));
    EXPECT(PIPELANE_ERR_PARAMETER, pipelane_message_add_recipient(message, "c@example.net", NULL, "no type"));
    EXPECT(PIPELANE_ERR_ADDRESS, pipelane_message_add_recipient(message, "c>\r\nDATA", NULL, NULL));
    EXPECT(PIPELANE_ERR_ADDRESS, pipelane_message_add_recipient(message, "", NULL, NULL));
    EXPECT(PIPELANE_ERR_ADDRESS, pipelane_message_set_sender(message, "a\n"));
    EXPECT(PIPELANE_ERR_NEXT_HOP, pipelane_message_set_next_hop(message, "::1"));
    EXPECT(PIPELANE_ERR_ARGUMENT, pipelane_message_set_priority(message, 10));
    EXPECT(PIPELANE_ERR_ARGUMENT, pipelane_message_set_priority(message, 1000));
    EXPECT(PIPELANE_ERR_ARGUMENT, pipelane_message_set_body(message, 9));
    EXPECT(PIPELANE_ERR_TEXT, pipelane_message_set_id(message, "\xc3"));
    return message;
}

static void look_at(const pipelane_report *report, uint64_t number) {
    CHECK(pipelane_report_cookie(report) == cookie_of(42));
    CHECK(pipelane_report_number(report) == number);
    CHECK(pipelane_report_recipients(report) == 3);
    CHECK(strcmp(pipelane_report_address(report, 1), "reject-550@example.net") == 0);
    CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED && pipelane_report_code(report, 0) == 250);
    CHECK(pipelane_report_outcome(report, 1) == PIPELANE_FAILED && pipelane_report_code(report, 1) == 550);
    CHECK(pipelane_report_outcome(report, 2) == PIPELANE_DEFERRED && pipelane_report_code(report, 2) == 450);
    CHECK(strcmp(pipelane_report_status(report, 1), "5.1.1") == 0);
    CHECK(strstr(pipelane_report_text(report, 1), "Refused") != NULL);
    CHECK(pipelane_report_outcome(report, 3) == PIPELANE_NO_OUTCOME && pipelane_report_text(report, 3) == NULL);
    CHECK(strncmp(pipelane_report_decided_by(report, 0), "127.0.0.1[127.0.0.1]:", 21) == 0);
    CHECK(pipelane_report_decided_by(report, 1) != NULL && pipelane_report_decided_by(report, 3) == NULL);
    CHECK(strcmp(pipelane_report_server_name(report), "127.0.0.1") == 0);
    CHECK(strcmp(pipelane_report_server_address(report), "127.0.0.1") == 0);
    CHECK(pipelane_report_server_port(report) > 0);
    CHECK(strncmp(pipelane_report_lane(report), "lane ", 5) == 0);
    CHECK(strcmp(pipelane_report_level(report), "envelope") == 0);
    CHECK(pipelane_report_queued_us(report) < 60000000 && pipelane_report_delivery_us(report) < 60000000);
}

static void status(const pipelane_engine *engine) {
    char cut[10];
    size_t size = pipelane_engine_status_json(engine, NULL, 0);
    char *text = (char *)malloc(size + 1000);
    CHECK(size > 50 && text != NULL);
    CHECK(pipelane_engine_status_json(engine, text, size + 1000) > 50);
    CHECK(text[0] == '{' && strstr(text, "\"lanes\"") != NULL);
    CHECK(pipelane_engine_status_json(engine, cut, sizeof cut) > 50 && strlen(cut) == sizeof cut - 1);
    free(text);
}

static void callback(pipelane_report *report, void *user) {
    (void)user;
    pipelane_report_free(report);
}

int main(int argc, char **argv) {
    CHECK(argc > 1);
    const char *next_hop = argv[1];
    pipelane_engine *engine;
    pipelane_report *report;
    pipelane_message *message;
    uint64_t number = 0;
    versions();
    errors();
    EXPECT(PIPELANE_ERR_ARGUMENT, pipelane_set_log(log_line, NULL, 6));
    OK(pipelane_set_log(log_line, cookie_of(99), PIPELANE_LOG_DEBUG));
    pipelane_config *config = configuration(next_hop);
    OK(pipelane_engine_new(config, &engine));
    pipelane_config_free(config);
    OK(pipelane_engine_set_callback(engine, callback, NULL));
    EXPECT(PIPELANE_ERR_STATE, pipelane_engine_poll(engine, 0, &report));
    OK(pipelane_engine_set_callback(engine, NULL, NULL));
    EXPECT(PIPELANE_EMPTY, pipelane_engine_poll(engine, 0, &report));
    CHECK(report == NULL);

    OK(pipelane_engine_submit(engine, with_everything(next_hop), cookie_of(42), 1000, &number));
    CHECK(number > 0);
    struct pollfd watch;
    watch.fd = pipelane_engine_event_fd(engine);
    watch.events = POLLIN;
    CHECK(watch.fd >= 0 && poll(&watch, 1, 30000) == 1);
    EXPECT(PIPELANE_ERR_UNKNOWN, pipelane_engine_cancel(engine, number));
    OK(pipelane_engine_poll(engine, -1, &report));
    CHECK(poll(&watch, 1, 0) == 0);
    look_at(report, number);
    pipelane_report_free(report);
    status(engine);

    message = letter(next_hop, "b@example.net");
    OK(pipelane_deliver(engine, message, 30000, &report));
    CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED && pipelane_report_number(report) == 0);
    OK(pipelane_engine_drain(engine, 1000));
    pipelane_engine_free(engine);
    CHECK(pipelane_report_outcome(report, 0) == PIPELANE_DELIVERED);
    pipelane_report_free(report);

    message = letter(next_hop, "b@example.net");
    int self = open(argv[0], O_RDONLY);
    OK(pipelane_message_set_content_fd(message, self, 0, 10, PIPELANE_LINES_LF));
    close(self);
    pipelane_message_free(message);
    CHECK(lines_logged > 0 && errors_logged == 0);
    OK(pipelane_set_log(NULL, NULL, PIPELANE_LOG_OFF));
    return 0;
}
