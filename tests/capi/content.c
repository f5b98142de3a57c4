/*
 * Content from files and from memory: ranges, line ends, what is refused, and a file that is changed when it must not be. What is delivered, and in
 * which order, is compared by the test that runs this.
 */
#include "check.h"

#include <fcntl.h>
#include <unistd.h>

static const char *next_hop;
static pipelane_engine *engine;

static int scratch(const void *octets, size_t size) {
    char name[] = "/tmp/pipelane-capi-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && write(fd, octets, size) == (ssize_t)size);
    unlink(name);
    return fd;
}

static int32_t delivered(pipelane_message *message) {
    pipelane_report *report;
    OK(pipelane_deliver(engine, message, 60000, &report));
    int32_t outcome = pipelane_report_outcome(report, 0);
    pipelane_report_free(report);
    return outcome;
}

static void refused(const char *text, size_t size, int32_t lines, const char *why) {
    pipelane_report *report;
    pipelane_message *message = letter(next_hop, "b@example.net");
    OK(pipelane_message_set_content_buffer(message, (const uint8_t *)text, size, lines));
    EXPECT(PIPELANE_ERR_CONTENT, pipelane_deliver(engine, message, 1000, &report));
    CHECK(report == NULL && last_error_has(why));
    /* It can be mended. */
    OK(pipelane_message_set_content_buffer(message, (const uint8_t *)"mended", 6, lines));
    CHECK(delivered(message) == PIPELANE_DELIVERED);
}

static void files(void) {
    const char text[] = "headSubject: part\n\nHello.\ntail";
    int fd = scratch(text, sizeof text - 1);
    pipelane_message *message = letter(next_hop, "b@example.net");
    EXPECT(PIPELANE_ERR_FILE, pipelane_message_set_content_fd(message, -1, 0, 1, PIPELANE_LINES_LF));
    EXPECT(PIPELANE_ERR_FILE, pipelane_message_set_content_fd(message, 987654, 0, 1, PIPELANE_LINES_LF));
    EXPECT(PIPELANE_ERR_FILE, pipelane_message_set_content_fd(message, fd, 0, 1000, PIPELANE_LINES_LF));
    EXPECT(PIPELANE_ERR_FILE, pipelane_message_set_content_fd(message, fd, UINT64_MAX - 1, 5, PIPELANE_LINES_LF));
    EXPECT(PIPELANE_ERR_FILE, pipelane_message_set_content_fd(message, fd, 1000, UINT64_MAX, PIPELANE_LINES_LF));
    EXPECT(PIPELANE_ERR_ARGUMENT, pipelane_message_set_content_fd(message, fd, 0, 1, 2));
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    EXPECT(PIPELANE_ERR_FILE, pipelane_message_set_content_fd(message, pipes[0], 0, 1, PIPELANE_LINES_LF));
    close(pipes[0]);
    close(pipes[1]);
    int only_written = open("/tmp", O_TMPFILE | O_WRONLY, 0600);
    if (only_written >= 0) {
        CHECK(write(only_written, "xx", 2) == 2);
        EXPECT(PIPELANE_ERR_FILE, pipelane_message_set_content_fd(message, only_written, 0, 2, PIPELANE_LINES_LF));
        close(only_written);
    }
    OK(pipelane_message_set_content_fd(message, fd, 4, sizeof text - 1 - 8, PIPELANE_LINES_LF));
    lseek(fd, 7, SEEK_SET);
    CHECK(delivered(message) == PIPELANE_DELIVERED);
    CHECK(lseek(fd, 0, SEEK_CUR) == 7);
    message = letter(next_hop, "b@example.net");
    OK(pipelane_message_set_content_fd(message, fd, 4, UINT64_MAX, PIPELANE_LINES_LF));
    close(fd);
    CHECK(delivered(message) == PIPELANE_DELIVERED);
}

/* Longer than content_memory: sent out of the caller's file, or copied when its lines must be changed. */
static void large_files(int lf) {
    const size_t line = 100, size = 3000 * line;
    char *text = (char *)malloc(size);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(i % line < line - 2 ? 'a' + (char)(i / line % 26) : i % line == line - 2 ? (lf ? ' ' : '\r') : '\n');
    int fd = scratch(text, size);
    pipelane_message *message = letter(next_hop, "b@example.net");
    OK(pipelane_message_set_content_fd(message, fd, 100, UINT64_MAX, lf ? PIPELANE_LINES_LF : PIPELANE_LINES_CRLF));
    CHECK(delivered(message) == PIPELANE_DELIVERED);

    /* Cut behind our back. */
    message = letter("[127.0.0.1]:1", "b@example.net");
    OK(pipelane_message_set_content_fd(message, fd, 0, size, lf ? PIPELANE_LINES_LF : PIPELANE_LINES_CRLF));
    OK(pipelane_message_set_next_hop(message, next_hop));
    CHECK(ftruncate(fd, (off_t)size - 5) == 0);
    pipelane_report *report;
    EXPECT(PIPELANE_ERR_FILE, pipelane_deliver(engine, message, 60000, &report));
    pipelane_message_free(message);
    close(fd);
    free(text);
}

int main(int argc, char **argv) {
    CHECK(argc > 1);
    next_hop = argv[1];
    pipelane_config *config;
    OK(pipelane_config_new(&config));
    OK(pipelane_config_set(config, "content_memory", "64K"));
    OK(pipelane_config_set(config, "message_size", "1M"));
    OK(pipelane_config_set(config, "bare_newlines", "refuse"));
    OK(pipelane_config_set(config, "long_lines", "refuse"));
    OK(pipelane_engine_new(config, &engine));
    files();
    large_files(0);
    large_files(1);
    char *huge = (char *)calloc(1, 2000000);
    refused("a\0b", 3, PIPELANE_LINES_LF, "line 1 of the content has a NUL");
    refused("a\r\nb\nc", 6, PIPELANE_LINES_CRLF, "line 2 of the content has a CR or an LF alone");
    memset(huge, 'x', 2000000);
    refused(huge, 999, PIPELANE_LINES_LF, "over 998 octets");
    for (size_t i = 0; i < 2000000; i += 50)
        huge[i] = '\n';
    refused(huge, 2000000, PIPELANE_LINES_LF, "over the limit of 1048576 octets");
    free(huge);
    pipelane_engine_free(engine);
    pipelane_config_free(config);
    return 0;
}
