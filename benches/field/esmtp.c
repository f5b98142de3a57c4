/* Sends messages by libESMTP in one session, and tells how long it took.
 *
 *     esmtp HOST:PORT MESSAGES RECIPIENTS OCTETS
 *
 * writes two numbers of seconds: from the first octet of the first MAIL to the last reply, and from the start. It ends
 * with 1 unless every message was accepted. Without arguments it writes the version of the library. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Needs what stands above it. */
#include <libesmtp.h>

static double first_mail, last_reply;

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

/* Sees every line in both directions, if it comes through the library's buffer. */
static void monitor(const char *octets, int length, int direction, void *unused)
{
    (void)unused;
    if (direction == SMTP_CB_WRITING && first_mail == 0 && length >= 4 && memcmp(octets, "MAIL", 4) == 0)
        first_mail = now();
}

/* Is told of each message's last reply. */
static void event(smtp_session_t session, int number, void *unused, ...)
{
    (void)session, (void)unused;
    if (number == SMTP_EV_MESSAGESENT)
        last_reply = now();
}

static char *content(size_t size)
{
    static const char head[] = "From: <sender@client.test>\r\nSubject: m\r\nMessage-ID: <m@client.test>\r\n\r\n";
    static const char line[] = "The quick brown fox jumps over the lazy dog, and does so once more.\r\n";
    char *text = malloc(size + sizeof head + sizeof line);
    if (!text)
        exit(2);
    size_t at = strlen(strcpy(text, head));
    while (at + sizeof line < size)
        at += strlen(strcpy(text + at, line));
    while (at + 2 < size)
        text[at++] = 'x';
    strcpy(text + at, "\r\n");
    return text;
}

static void count(smtp_message_t message, void *accepted)
{
    if (smtp_message_transfer_status(message)->code == 250)
        ++*(int *)accepted;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        char version[64];
        smtp_version(version, sizeof version, 0);
        puts(version);
        return argc != 1;
    }
    int messages = atoi(argv[2]), recipients = atoi(argv[3]), accepted = 0;
    char *text = content((size_t)atol(argv[4]));
    double begun = now();
    smtp_session_t session = smtp_create_session();
    smtp_set_server(session, argv[1]);
    smtp_set_hostname(session, "client.test");
    smtp_set_monitorcb(session, monitor, NULL, 0);
    smtp_set_eventcb(session, event, NULL);
    for (int i = 0; i < messages; i++) {
        smtp_message_t message = smtp_add_message(session);
        smtp_set_reverse_path(message, "sender@client.test");
        smtp_set_message_str(message, text);
        for (int j = 0; j < recipients; j++) {
            char address[64];
            snprintf(address, sizeof address, "r%d@example.test", j);
            smtp_add_recipient(message, address);
        }
    }
    if (!smtp_start_session(session)) {
        char why[128];
        fprintf(stderr, "%s\n", smtp_strerror(smtp_errno(), why, sizeof why));
        return 1;
    }
    smtp_enumerate_messages(session, count, &accepted);
    printf("%.6f %.6f\n", last_reply - first_mail, last_reply - begun);
    return accepted != messages;
}
