/*
 * pipelane.h - delivers mail over SMTP with many messages in flight on one connection.
 *
 * A program that keeps a queue of mail hands a message over, goes on with its work, and gets one report for each
 * message, with one outcome for each recipient. pipelane keeps no queue of its own: until the report is here the caller
 * keeps the message, and tries again later if the report says so.
 *
 *     pipelane_engine *engine;
 *     pipelane_message *message;
 *     pipelane_report *report;
 *
 *     pipelane_engine_new(NULL, &engine);
 *     pipelane_message_new(&message);
 *     pipelane_message_set_next_hop(message, "[relay.example.net]:25");
 *     pipelane_message_set_sender(message, "a@example.org");
 *     pipelane_message_add_recipient(message, "b@example.net", NULL, NULL);
 *     pipelane_message_set_content_buffer(message, octets, size, PIPELANE_LINES_CRLF);
 *     pipelane_engine_submit(engine, message, my_pointer, 0, NULL);
 *     ...
 *     while (pipelane_engine_poll(engine, 1000, &report) == PIPELANE_OK) {
 *         ... pipelane_report_cookie(report) is my_pointer ...
 *         pipelane_report_free(report);
 *     }
 *     pipelane_engine_free(engine);
 *
 * (Look at the results; examples/c/send.c does.) C99 and C++. Linux only. Link with `pkg-config --libs pipelane`.
 *
 * CONVENTIONS
 *
 * Ownership is told in four phrases:
 *     borrowed for the call      read while the call lasts; the caller may free or change it afterwards
 *     copied                     the same, and the library has its own afterwards
 *     taken on success           the library's from PIPELANE_OK on, and not to be used again; otherwise still the caller's
 *     caller frees with X        the caller's until X
 *
 * A pointer must not be NULL unless it is said that it may; PIPELANE_ERR_NULL is the answer, and nothing was done. Every _free
 * function takes NULL and does nothing then. What was freed must not be used or freed again.
 *
 * Texts end with a NUL and are UTF-8; anything else is PIPELANE_ERR_TEXT. A function with a last parameter `type **` sets it
 * to NULL when it fails.
 *
 * Results. A function that can fail returns a pipelane_result: PIPELANE_OK, which is 0, or one of the numbers below. It says
 * whether the call did what was asked, and nothing about mail: a message that the server has refused is PIPELANE_OK with a
 * report that says so. Beside those named with a function, each that takes a handle or a text can return PIPELANE_ERR_NULL,
 * PIPELANE_ERR_FORKED, PIPELANE_ERR_TEXT and PIPELANE_ERR_PANIC. Further numbers may come in later versions: treat one that
 * you do not know as a failure.
 *
 * Threads. Each type says below what its threads may do. Functions without a handle may be called by any thread at any time.
 * An engine starts threads of its own, one for each connection. They have all signals blocked, but for those that a fault of the
 * thread itself raises (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS). The library never sets a signal's disposition, never
 * raises SIGPIPE, and changes no thread's mask but for the moment in which it starts a thread of its own.
 *
 * Times in milliseconds are int32_t. 0 does not wait, less than 0 waits without end.
 *
 * fork(). A handle belongs to the process that made it. In a child every function that is given a handle of its parent returns
 * PIPELANE_ERR_FORKED (or what it returns on failure), and the _free functions leave the handle as it is, which leaks it; so
 * nothing is said on the parent's connections. A child may make handles of its own. Programs that fork should make the
 * engine after it. vfork() and posix_spawn() are no concern: every descriptor of the library is closed by exec.
 *
 * Faults. Should pipelane have a fault that ends one of its functions, that is PIPELANE_ERR_PANIC, or a report that says
 * "deferred" (or "in doubt", if the message had gone out). Nothing is written to standard error and the process goes on.
 *
 * Unloading. Free every engine before exit() and before dlclose(). The library is marked to stay in memory after dlclose(), so that a
 * thread that is just ending has code to end with.
 *
 * Numbers, names and types in this file do not change while PIPELANE_ABI stays what it is. New ones may be added.
 */

#ifndef PIPELANE_H
#define PIPELANE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ------------------------------------------------------------------------------------------------------ */

/* The version of this header, and as one number that grows. */
#define PIPELANE_VERSION_MAJOR 0
#define PIPELANE_VERSION_MINOR 1
#define PIPELANE_VERSION_PATCH 0
#define PIPELANE_VERSION_NUMBER 100 /* (MAJOR * 1000 + MINOR) * 100 + PATCH */

/* The binary interface: the number in libpipelane.so.0. Another one only when programs have to be compiled anew. */
#define PIPELANE_ABI 0

/* pipelane_version tells the version of the library that runs, such as "0.1.0". Static. */
const char *pipelane_version(void);

/* pipelane_abi tells the binary interface of the library that runs; it should be PIPELANE_ABI. */
int32_t pipelane_abi(void);

/* ---- Results ------------------------------------------------------------------------------------------------------ */

/* What became of a call. An integer, so that a number which this header does not know is still a number. */
typedef int32_t pipelane_result;

#define PIPELANE_OK 0
#define PIPELANE_EMPTY 1 /* pipelane_engine_poll: no report came within the time; no error */

/* The call itself. */
#define PIPELANE_ERR_NULL 100       /* a pointer is NULL that must not be */
#define PIPELANE_ERR_FORKED 101     /* the handle was made by another process, before fork() */
#define PIPELANE_ERR_TEXT 102       /* a text is not UTF-8 */
#define PIPELANE_ERR_ARGUMENT 103   /* a number is not one of those allowed */
#define PIPELANE_ERR_STATE 104      /* not allowed at this point */
#define PIPELANE_ERR_ADDRESS 105    /* a text is no mail address */
#define PIPELANE_ERR_NEXT_HOP 106   /* a text is no next hop */
#define PIPELANE_ERR_PARAMETER 107  /* a text is no such parameter of MAIL or RCPT */
#define PIPELANE_ERR_INCOMPLETE 108 /* the message lacks a next hop, a sender, a recipient or its content */
#define PIPELANE_ERR_CONTENT 109    /* the content must not be sent as it is; trying again cannot help */
#define PIPELANE_ERR_FILE 110       /* the file of the content cannot be read, or is shorter than was said */

/* Configuration. */
#define PIPELANE_ERR_KEY 200         /* no such key */
#define PIPELANE_ERR_VALUE 201       /* the value is not allowed for this key */
#define PIPELANE_ERR_CONFIG_FILE 202 /* the configuration file is wrong or cannot be read */
#define PIPELANE_ERR_CONFLICT 203    /* settings, each good by itself, do not fit together */

/* The engine. */
#define PIPELANE_ERR_BUSY 300     /* it holds as many messages as it may: poll for reports and try again */
#define PIPELANE_ERR_STOPPING 301 /* it was drained and takes no more messages */
#define PIPELANE_ERR_UNKNOWN 302  /* no message of this number is held */
#define PIPELANE_ERR_STORAGE 303  /* the content cannot be stored (a full disk, say); later it may be possible */
#define PIPELANE_ERR_SYSTEM 304   /* the system has refused a descriptor */
#define PIPELANE_ERR_TIMEOUT 305  /* the engine's threads have not all ended within the time */

#define PIPELANE_ERR_PANIC 900 /* a fault of pipelane */

/*
 * pipelane_strerror tells what a result means, in a few words. Static; never NULL, for any number.
 */
const char *pipelane_strerror(pipelane_result result);

/*
 * pipelane_last_error copies what went wrong in the last call on this thread that failed, in one line or more: which key,
 * which line of a file, what was expected. A call that succeeds leaves it as it is.
 *
 * buffer   for the text, with a NUL at its end, cut to fit; may be NULL.
 * size     octets of room in buffer.
 *
 * Returns the octets of the whole text without its NUL, as snprintf() does; 0 when no call has failed yet.
 */
size_t pipelane_last_error(char *buffer, size_t size);

/* ---- Log ---------------------------------------------------------------------------------------------------------- */

#define PIPELANE_LOG_OFF 0
#define PIPELANE_LOG_ERROR 1
#define PIPELANE_LOG_WARN 2  /* recipients that were not delivered, connections that failed */
#define PIPELANE_LOG_INFO 3  /* one line for each message */
#define PIPELANE_LOG_DEBUG 4 /* what the levels of pipelining are earned and lost by */
#define PIPELANE_LOG_TRACE 5

/*
 * A function that takes a line of the log. Called by any thread, several at once, with no lock of pipelane held. The text has no
 * line end and is valid during the call. The function must return, and must call no function of this header.
 */
typedef void (*pipelane_log_function)(int32_t level, const char *text, void *user);

/*
 * pipelane_set_log sends the log of all engines in this process to a function; without it nothing is logged.
 *
 * function   may be NULL: no log.
 * user       handed to the function; may be NULL.
 * level      the least important lines that are wanted, PIPELANE_LOG_OFF to PIPELANE_LOG_TRACE.
 *
 * It may be called again; lines that are being said at that moment still go to the old function.
 * PIPELANE_ERR_ARGUMENT: no such level. PIPELANE_ERR_STATE: in a Rust program that has a logger of its own.
 */
pipelane_result pipelane_set_log(pipelane_log_function function, void *user, int32_t level);

/* ---- Configuration ------------------------------------------------------------------------------------------------ */

/*
 * Settings for an engine. One thread at a time. Caller frees with pipelane_config_free.
 *
 * The keys are those of the configuration file under [limits], [defaults] and [next_hop."..."], listed with their defaults
 * in pipelane.toml(5) and by `pipelane check --keys`. A value is what the file has, without quotes: "64", "1M", "30s", "stream";
 * the items of a list have blanks between them: "4 64 1000 0".
 */
typedef struct pipelane_config pipelane_config;

/*
 * pipelane_config_new makes a configuration in which everything has its default.
 *
 * config   set to it; caller frees with pipelane_config_free.
 */
pipelane_result pipelane_config_new(pipelane_config **config);

/*
 * pipelane_config_set sets one key, for all next hops if it is one of theirs.
 *
 * key, value   copied.
 *
 * PIPELANE_ERR_KEY: no such key, or one of [listen], which only `pipelane serve` has. PIPELANE_ERR_VALUE: pipelane_last_error
 * tells what is allowed. What was set before stays.
 */
pipelane_result pipelane_config_set(pipelane_config *config, const char *key, const char *value);

/*
 * pipelane_config_set_for sets one key for one next hop. It goes before pipelane_config_set for that next hop, in whichever
 * order they are called.
 *
 * next_hop     "[host]:port", "host:port", "[host]" or "host", as messages have it; copied. Case makes no difference.
 * key, value   copied. Keys of [limits] are not for one next hop.
 *
 * PIPELANE_ERR_NEXT_HOP, PIPELANE_ERR_KEY, PIPELANE_ERR_VALUE.
 */
pipelane_result pipelane_config_set_for(pipelane_config *config, const char *next_hop, const char *key, const char *value);

/*
 * pipelane_config_load_file reads a configuration file (pipelane.toml(5)). What was set before is forgotten; what is set afterwards
 * goes over it. A key set for all next hops does not reach those that have a table of their own in the file.
 *
 * path   copied.
 *
 * PIPELANE_ERR_CONFIG_FILE: pipelane_last_error has a line for each thing that is wrong; the configuration is as it was.
 */
pipelane_result pipelane_config_load_file(pipelane_config *config, const char *path);

/* pipelane_config_free frees a configuration. Engines made with it are not affected. NULL is allowed. */
void pipelane_config_free(pipelane_config *config);

/* ---- Message ------------------------------------------------------------------------------------------------------ */

/*
 * A message with its envelope. One thread at a time; any thread may hand it over. Caller frees with pipelane_message_free,
 * unless it was taken by pipelane_engine_submit or pipelane_deliver.
 *
 * It needs a next hop, a sender, a recipient and a content; all else may be left out. Each function but
 * pipelane_message_add_recipient sets something anew when it is called again, and leaves it as it was when it fails.
 */
typedef struct pipelane_message pipelane_message;

/*
 * pipelane_message_new makes an empty message.
 *
 * message   set to it; caller frees with pipelane_message_free.
 */
pipelane_result pipelane_message_new(pipelane_message **message);

/*
 * pipelane_message_set_next_hop tells which server the message goes to.
 *
 * next_hop   "[host]:port", "host:port", "[host]" or "host"; copied. A name is looked up by its addresses (A, AAAA), with
 *            brackets or without; there is no MX lookup. Without a port it is 25. An IPv6 address needs brackets.
 *
 * PIPELANE_ERR_NEXT_HOP.
 */
pipelane_result pipelane_message_set_next_hop(pipelane_message *message, const char *next_hop);

/*
 * pipelane_message_set_sender sets the reverse-path.
 *
 * address   without angle brackets; "" is the null sender of bounces, <>. Copied.
 *
 * PIPELANE_ERR_ADDRESS.
 */
pipelane_result pipelane_message_set_sender(pipelane_message *message, const char *address);

/*
 * pipelane_message_add_recipient adds a forward-path. Reports have the recipients in the order in which they were added, from 0.
 *
 * address   without angle brackets. Copied.
 * notify    NOTIFY= of RFC 3461, "NEVER" or some of "SUCCESS,FAILURE,DELAY"; may be NULL. Copied.
 * orcpt     ORCPT= of RFC 3461, as it stands on the wire, "rfc822;b+2Bx@example.net"; may be NULL. Copied.
 *
 * Both are sent only to a server that offers DSN.
 * PIPELANE_ERR_ADDRESS, PIPELANE_ERR_PARAMETER: no recipient was added.
 */
pipelane_result pipelane_message_add_recipient(pipelane_message *message, const char *address, const char *notify,
                                               const char *orcpt);

/*
 * pipelane_message_set_dsn sets the DSN parameters of the sender (RFC 3461).
 *
 * ret     RET=, "FULL" or "HDRS"; may be NULL. Copied.
 * envid   ENVID=, as it stands on the wire (xtext), at most 100 octets before it was encoded; may be NULL. Copied.
 *
 * PIPELANE_ERR_PARAMETER.
 */
pipelane_result pipelane_message_set_dsn(pipelane_message *message, const char *ret, const char *envid);

#define PIPELANE_BODY_UNSPECIFIED 0 /* the content itself tells */
#define PIPELANE_BODY_7BIT 1
#define PIPELANE_BODY_8BITMIME 2

/*
 * pipelane_message_set_body sets BODY= (RFC 6152), one of PIPELANE_BODY_*. PIPELANE_ERR_ARGUMENT: it is none.
 */
pipelane_result pipelane_message_set_body(pipelane_message *message, int32_t body);

/*
 * pipelane_message_set_smtputf8 says whether headers go beyond ASCII, so that only a server with SMTPUTF8 (RFC 6531) can take the message. Addresses
 * beyond ASCII are noticed without it.
 *
 * needed   0 for no.
 */
pipelane_result pipelane_message_set_smtputf8(pipelane_message *message, int needed);

/*
 * pipelane_message_set_priority sets MT-PRIORITY (RFC 6710), -9 to 9, higher first. PIPELANE_ERR_ARGUMENT: it is beyond that.
 */
pipelane_result pipelane_message_set_priority(pipelane_message *message, int32_t priority);

/*
 * pipelane_message_set_id sets the name that log lines call the message by, the queue id of an MTA.
 *
 * id   255 octets at the most, else PIPELANE_ERR_ARGUMENT; copied.
 */
pipelane_result pipelane_message_set_id(pipelane_message *message, const char *id);

/*
 * Lines of a content. On the wire every line ends in CR LF; there is no other CR or LF and no NUL.
 *
 * PIPELANE_LINES_CRLF: lines end in CR LF. A CR or LF that stands alone is treated as the key bare_newlines says: made CR LF,
 *     which is the default, or refused.
 * PIPELANE_LINES_LF: lines end in LF, as in a file of Unix. CR LF and a CR alone end a line too.
 *
 * A last line without its end is given one; a NUL is refused; lines over 998 octets are refused if the key long_lines says so. All
 * this is looked at when the message is handed over, since keys can be of the next hop. There is no dot-stuffing in it.
 */
#define PIPELANE_LINES_CRLF 0
#define PIPELANE_LINES_LF 1

/*
 * pipelane_message_set_content_fd takes the content from a part of a file, such as one of an MTA's queue.
 *
 * fd       a regular file that may be read. The library makes a descriptor of its own (with close-on-exec) and reads by pread(2) only: the
 *          caller may close fd, use it, or share the file among messages, and its file offset is not changed.
 * offset   where the content begins.
 * length   how many octets it has; UINT64_MAX for all up to the present end of the file.
 * lines    PIPELANE_LINES_*.
 *
 * The range of the file must not be changed until the report is here. Removing the file is allowed.
 *
 * When the message is handed over the content is read once to be checked. If it is short (key content_memory) it stays in memory and
 * the descriptor is closed. If it is longer and already is as it must be on the wire, it is not copied: the engine keeps its descriptor and
 * reads the file when it sends. (What it reads is checked again; should the file have been changed so that it must not be sent,
 * the message is deferred.) If it is longer and its lines have to be changed, as with PIPELANE_LINES_LF, a changed copy is made in
 * an unlinked file (key content_directory).
 *
 * PIPELANE_ERR_FILE: it cannot be read, is no regular file, or has not so many octets. PIPELANE_ERR_ARGUMENT: lines.
 */
pipelane_result pipelane_message_set_content_fd(pipelane_message *message, int fd, uint64_t offset, uint64_t length,
                                                int32_t lines);

/*
 * pipelane_message_set_content_buffer takes the content from memory.
 *
 * octets   copied. Must not be NULL, also when size is 0.
 * size     how many.
 * lines    PIPELANE_LINES_*; PIPELANE_ERR_ARGUMENT: it is none.
 *
 * A content over the key content_memory moves to an unlinked file when the message is handed over.
 */
pipelane_result pipelane_message_set_content_buffer(pipelane_message *message, const uint8_t *octets, size_t size,
                                                    int32_t lines);

/* pipelane_message_free frees a message that was not taken. NULL is allowed. */
void pipelane_message_free(pipelane_message *message);

/* ---- Report ------------------------------------------------------------------------------------------------------- */

/*
 * What became of a message. It never changes: threads may read it at the same time. It may outlive its engine. Caller frees with
 * pipelane_report_free.
 *
 * Texts that the functions return belong to the report and live as long as it does. Given NULL, a report of a parent process, or a recipient
 * that is not there, the functions return 0 or NULL, and pipelane_last_error says why.
 */
typedef struct pipelane_report pipelane_report;

/* The outcome of a recipient. */
#define PIPELANE_NO_OUTCOME 0 /* there is no such recipient */
#define PIPELANE_DELIVERED 1  /* the server has taken responsibility */
#define PIPELANE_DEFERRED 2   /* not delivered: try again later. Not at once: a next hop that cannot be reached defers all
                                 that comes, at once too, until it is tried again, after 5 to 60 seconds */
#define PIPELANE_FAILED 3     /* the server has refused for good: tell the sender */
#define PIPELANE_IN_DOUBT 4   /* sent whole and never answered: delivered or not. Trying again may deliver it twice */

/* pipelane_report_cookie returns the pointer that was given to pipelane_engine_submit. */
void *pipelane_report_cookie(const pipelane_report *report);

/* pipelane_report_number returns the number that pipelane_engine_submit gave the message; 0 for pipelane_deliver. */
uint64_t pipelane_report_number(const pipelane_report *report);

/* pipelane_report_recipients returns how many recipients there are; they are counted from 0. */
size_t pipelane_report_recipients(const pipelane_report *report);

/* pipelane_report_address returns a recipient's address, as it was added. */
const char *pipelane_report_address(const pipelane_report *report, size_t recipient);

/* pipelane_report_outcome returns PIPELANE_DELIVERED, PIPELANE_DEFERRED, PIPELANE_FAILED or PIPELANE_IN_DOUBT. */
int32_t pipelane_report_outcome(const pipelane_report *report, size_t recipient);

/* pipelane_report_code returns the server's reply code, such as 550; 0 when no reply of the server decided. */
int32_t pipelane_report_code(const pipelane_report *report, size_t recipient);

/* pipelane_report_status returns the enhanced status code (RFC 3463), such as "5.1.1". Its first digit agrees with the outcome: 2
 * delivered, 4 deferred or in doubt, 5 failed. */
const char *pipelane_report_status(const pipelane_report *report, size_t recipient);

/* pipelane_report_text returns the server's own words, without code and status and with blanks for its line ends; or ours, when no reply
 * of the server decided. */
const char *pipelane_report_text(const pipelane_report *report, size_t recipient);

/* pipelane_report_decided_by returns the server that has decided over this recipient, as host[address]:port, or as unix:/path; NULL when
 * none was reached. Recipients of a message may differ in it: one that a server of the next hop puts off is offered to the next server. */
const char *pipelane_report_decided_by(const pipelane_report *report, size_t recipient);

/* pipelane_report_server_name returns the host name of the server that the message went to, the last one if it went to several; NULL when
 * none was reached. */
const char *pipelane_report_server_name(const pipelane_report *report);

/* pipelane_report_server_address returns its IP address; NULL when none was reached. */
const char *pipelane_report_server_address(const pipelane_report *report);

/* pipelane_report_server_port returns its port; 0 when none was reached. */
int32_t pipelane_report_server_port(const pipelane_report *report);

/* pipelane_report_lane returns the lane that carried the message, such as "lane 1"; NULL when none did. */
const char *pipelane_report_lane(const pipelane_report *report);

/* pipelane_report_level returns the highest level of pipelining that was used: "lockstep", "envelope", "overlap", "chunk" or "stream";
 * NULL when nothing was sent. */
const char *pipelane_report_level(const pipelane_report *report);

/* pipelane_report_queued_us returns the microseconds from handing over to the first octet on the wire. */
uint64_t pipelane_report_queued_us(const pipelane_report *report);

/* pipelane_report_delivery_us returns the microseconds from there to the last reply. */
uint64_t pipelane_report_delivery_us(const pipelane_report *report);

/* pipelane_report_free frees a report. NULL is allowed. */
void pipelane_report_free(pipelane_report *report);

/* ---- Engine ------------------------------------------------------------------------------------------------------- */

/*
 * Lanes to any number of servers. Any thread, any time, several at once; but nobody may be in a function of an engine while it is
 * freed. Caller frees with pipelane_engine_free. A program needs one.
 *
 * Exactly one report follows each message that was taken. Reports are got by pipelane_engine_poll, or by a callback.
 */
typedef struct pipelane_engine pipelane_engine;

/*
 * pipelane_engine_new makes an engine. No thread and no connection is made before there is a message.
 *
 * config   copied; may be NULL for the defaults.
 * engine   set to it; caller frees with pipelane_engine_free.
 *
 * PIPELANE_ERR_CONFLICT: settings do not fit together, for all next hops or for one that has settings of its own.
 * PIPELANE_ERR_SYSTEM: no descriptor is left.
 */
pipelane_result pipelane_engine_new(const pipelane_config *config, pipelane_engine **engine);

/*
 * A function that takes reports. The report is the function's, which frees it with pipelane_report_free.
 *
 * It is called by a thread of pipelane's own, mostly a lane's, or by a thread that is in pipelane_engine_submit, _cancel, _drain or _free of this
 * engine; by several at once. No lock of pipelane is held. While it runs that thread does nothing else, so it should be quick. Of the functions that take an engine it may
 * call only pipelane_engine_cancel. It must return: no exception, no longjmp().
 */
typedef void (*pipelane_report_function)(pipelane_report *report, void *user);

/*
 * pipelane_engine_set_callback hands reports to a function instead of keeping them for pipelane_engine_poll. Not needed by
 * most programs.
 *
 * function   NULL keeps them for pipelane_engine_poll, as it is at first.
 * user       handed to the function; may be NULL.
 *
 * PIPELANE_ERR_STATE: a message was handed over already.
 */
pipelane_result pipelane_engine_set_callback(pipelane_engine *engine, pipelane_report_function function, void *user);

/*
 * pipelane_engine_submit hands one message to the lane chosen by next hop and size.
 *
 * message      taken on success; on failure the caller still owns it, and may submit it again.
 * cookie       returned unchanged in the report; never followed. May be NULL.
 * timeout_ms   how long to wait when the engine holds as many messages as it may (keys messages, bytes, max_messages, max_bytes).
 * number       set to a number for pipelane_engine_cancel, not 0, which no other message of this engine has; may be NULL.
 *
 * Does not wait for the network. Reads the content, if it is in a file. The report may be here before the function returns.
 *
 * PIPELANE_ERR_INCOMPLETE. PIPELANE_ERR_BUSY: poll, and try again. PIPELANE_ERR_STOPPING. PIPELANE_ERR_CONTENT: it has a NUL, or
 * what bare_newlines or long_lines refuse, or is over message_size; pipelane_last_error names the line. PIPELANE_ERR_FILE,
 * PIPELANE_ERR_STORAGE: reading or storing the content has failed.
 */
pipelane_result pipelane_engine_submit(pipelane_engine *engine, pipelane_message *message, void *cookie,
                                       int32_t timeout_ms, uint64_t *number);

/*
 * pipelane_engine_cancel withdraws a message. Its report comes all the same: "deferred", or what became of it if it could not
 * be called back any more.
 *
 * PIPELANE_ERR_UNKNOWN: no such message is held; its report waits, or was taken.
 */
pipelane_result pipelane_engine_cancel(pipelane_engine *engine, uint64_t number);

/*
 * pipelane_engine_poll gets the next report.
 *
 * timeout_ms   how long to wait for one.
 * report       set to it; caller frees with pipelane_report_free.
 *
 * PIPELANE_EMPTY: none came within the time, or the engine was drained and all reports were got. PIPELANE_ERR_STATE: the
 * reports go to a callback.
 */
pipelane_result pipelane_engine_poll(pipelane_engine *engine, int32_t timeout_ms, pipelane_report **report);

/*
 * pipelane_engine_event_fd returns a descriptor for poll(2), select(2) or epoll(7). It becomes readable when reports have
 * come, once for those that come together, and stays so until the last is taken. It belongs to the engine: do not read, write or close it. -1 on failure.
 */
int pipelane_engine_event_fd(const pipelane_engine *engine);

/*
 * pipelane_engine_status_json tells how the engine is: its counts, and for each next hop its trouble, its bins and what each lane
 * does, as `pipelane status` does.
 *
 * buffer   for the text, with a NUL at its end, cut to fit; may be NULL.
 * size     octets of room in buffer.
 *
 * Returns the octets of the whole text without its NUL; 0 on failure.
 */
size_t pipelane_engine_status_json(const pipelane_engine *engine, char *buffer, size_t size);

/*
 * pipelane_engine_drain ends the work: no message is taken any more, what waits is deferred, what is on the wire may be finished
 * within the time and is given up then, connections are closed, threads end. Reports can be got afterwards. It may be called again.
 *
 * timeout_ms   how long what is on the wire may take; less than 0 is the time of the key drain_timeout.
 *
 * Waits 5 seconds longer than that at the most. PIPELANE_ERR_TIMEOUT: a lane has not ended by then, because the system's resolver
 * (getaddrinfo) holds it up; it ends by itself.
 */
pipelane_result pipelane_engine_drain(pipelane_engine *engine, int32_t timeout_ms);

/*
 * pipelane_engine_free is pipelane_engine_drain with a time of 0, throws away reports that were not got, and frees the engine. It
 * waits 5 seconds at the most. To lose no report, drain, poll until PIPELANE_EMPTY, and free. A callback is not called once it
 * has returned. NULL is allowed.
 */
void pipelane_engine_free(pipelane_engine *engine);

/*
 * pipelane_deliver hands over one message and waits for its report, which does not come to pipelane_engine_poll or a callback.
 *
 * message      taken on success; on failure the caller still owns it.
 * timeout_ms   how long it may take in all. Then the message is withdrawn, and a second later at the most its report is here: if nobody
 *              knows what became of it, its recipients are in doubt.
 * report       set to the report; caller frees with pipelane_report_free.
 *
 * Errors as those of pipelane_engine_submit.
 */
pipelane_result pipelane_deliver(pipelane_engine *engine, pipelane_message *message, int32_t timeout_ms,
                                 pipelane_report **report);

#ifdef __cplusplus
}
#endif

#endif
