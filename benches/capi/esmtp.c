/* esmtp PORT MESSAGES OCTETS: sends that many messages by one session of libESMTP, which is one connection. */
#define _GNU_SOURCE
#include "common.h"

#include <libesmtp.h>
#include <signal.h>

static long delivered;

static void count(smtp_message_t message, void *unused) {
    const smtp_status_t *status = smtp_message_transfer_status(message);
    (void)unused;
    delivered += status->code / 100 == 2;
}

static void fail(const char *what) {
    char why[200];
    fprintf(stderr, "%s: %s\n", what, smtp_strerror(smtp_errno(), why, sizeof why));
    exit(1);
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 64;
    long wanted = atol(argv[2]);
    char server[40], *text = make_text((size_t)atol(argv[3]));
    snprintf(server, sizeof server, "127.0.0.1:%s", argv[1]);
    signal(SIGPIPE, SIG_IGN);
    double begun = wall(), used = cpu();
    smtp_session_t session = smtp_create_session();
    smtp_set_server(session, server);
    smtp_set_hostname(session, "localhost");
    for (long i = 0; i < wanted; i++) {
        smtp_message_t message = smtp_add_message(session);
        smtp_set_reverse_path(message, SENDER);
        smtp_add_recipient(message, RECIPIENT);
        smtp_set_message_str(message, text);
    }
    if (!smtp_start_session(session))
        fail("session");
    double seconds = wall() - begun;
    smtp_enumerate_messages(session, count, NULL);
    smtp_destroy_session(session);
    return result("libESMTP", wanted, delivered, seconds, cpu() - used);
}
