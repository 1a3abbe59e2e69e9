/* mock_provider.c: a provider that speaks the OpenAI wire and answers at once.
 *
 *     mock_provider PORT [TEXT]
 *
 * One thread, epoll, 127.0.0.1 only. A path ending in /chat/completions gets chat objects, any other
 * POST gets text_completion objects. Without "stream": true the whole answer (about 620 bytes of body,
 * usage included) leaves in one write. With it, every chunk leaves in its own write, then a finish
 * chunk, a usage chunk if stream_options.include_usage asks for one, and [DONE].
 *
 * The model's name may carry options, so that they pass through any gateway:
 *     m1--k100      100 content chunks (the default)
 *     m1--d5000     5000 microseconds before each chunk (default 0: back to back)
 *     m1--l20000    20000 microseconds before a whole answer (default 0)
 *     m1--t         a whole answer's text is TEXT, a JSON string with its quotes
 *     m1--s503      status 503 in place of an answer, but for one of STEADFAST: a breaker that opens after more
 *                   failures than that, one after the other, never does
 *
 * GET /calls tells how many POSTs have come: {"calls": 1}.
 *
 * The text of each content chunk is "@<CLOCK_MONOTONIC nanoseconds>@": a reader on the same machine
 * knows how long the chunk was under way.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 4096, MAX_REQUEST = 64 << 20, DEFAULT_CHUNKS = 100, MAX_TEXT = 4096, STEADFAST = 4096 };

/* Streams due within this time leave together: what the kernel's default timer slack does to a
 * server that sleeps in epoll_wait. */
static const int64_t SLACK_NS = 50000;

typedef struct {
    char *data;
    size_t len, cap;
} buffer;

typedef struct connection {
    int fd;
    bool open, chat, usage, writable_wanted;
    buffer in, out;
    size_t out_sent;
    char model[128];
    enum { IDLE, DELAYED, STREAMING } work;
    int chunks, chunks_sent;
    int64_t due, gap;
    int place; /* index in waiting[], or -1 */
    struct connection *next_free;
} connection;

static int poller, timer;
static int64_t armed_for = INT64_MAX;
static connection *waiting[MAX_CONNECTIONS];
static int waiting_count;
static connection *free_list;
static long calls, failures;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* ---- bytes ---- */

static void reserve(buffer *b, size_t more) {
    if (b->len + more <= b->cap) return;
    size_t cap = b->cap ? b->cap : 8192;
    while (cap < b->len + more) cap *= 2;
    b->data = realloc(b->data, cap);
    if (!b->data) fail("realloc");
    b->cap = cap;
}

static void append(buffer *b, const char *s, size_t n) {
    reserve(b, n);
    memcpy(b->data + b->len, s, n);
    b->len += n;
}

static void append_chunk(buffer *b, const char *s, size_t n) {
    char size[24];
    append(b, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", n));
    append(b, s, n);
    append(b, "\r\n", 2);
}

/* ---- the set of connections that wait for the clock ---- */

static void wait_for_clock(connection *c) {
    if (c->place < 0) {
        c->place = waiting_count;
        waiting[waiting_count++] = c;
    }
}

static void stop_waiting(connection *c) {
    if (c->place < 0) return;
    connection *last = waiting[--waiting_count];
    waiting[c->place] = last;
    last->place = c->place;
    c->place = -1;
}

static void arm_timer(void) {
    int64_t first = INT64_MAX;
    for (int i = 0; i < waiting_count; i++)
        if (waiting[i]->due < first) first = waiting[i]->due;
    if (first == armed_for) return;
    armed_for = first;
    struct itimerspec at = {0};
    if (first != INT64_MAX) {
        if (first <= 0) first = 1;
        at.it_value.tv_sec = first / 1000000000;
        at.it_value.tv_nsec = first % 1000000000;
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* ---- connections ---- */

static void watch(connection *c, int how, bool writable) {
    struct epoll_event e = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, how, c->fd, &e);
    c->writable_wanted = writable;
}

static void accept_all(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        connection *c = free_list;
        if (!c) {
            close(fd);
            continue;
        }
        free_list = c->next_free;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->fd = fd;
        c->open = true;
        c->in.len = c->out.len = c->out_sent = 0;
        c->work = IDLE;
        watch(c, EPOLL_CTL_ADD, false);
    }
}

static void hang_up(connection *c) {
    stop_waiting(c);
    close(c->fd);
    c->open = false;
    c->next_free = free_list;
    free_list = c;
}

static void flush(connection *c) {
    while (c->out_sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);
        if (n > 0) {
            c->out_sent += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (!c->writable_wanted) watch(c, EPOLL_CTL_MOD, true);
            return;
        } else {
            hang_up(c);
            return;
        }
    }
    c->out.len = c->out_sent = 0;
    if (c->writable_wanted) watch(c, EPOLL_CTL_MOD, false);
}

/* ---- answers ---- */

static const char *STREAM_HEAD =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\nx-request-id: req_mock\r\n\r\n";

static const char *ANSWER =
    "\"A gateway stands between many clients and many providers: it knows who is calling, holds them to "
    "their limits, picks a provider, tries again when one fails, and writes down what it cost.\"";
static const char *other_answer;

#define USAGE "\"usage\":{\"prompt_tokens\":84,\"completion_tokens\":%d,\"total_tokens\":%d"
#define DETAILS                                                                                            \
    ",\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0}"                                  \
    ",\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}}"

static void send_json(connection *c, const char *status, const char *body, size_t n) {
    char head[200];
    int k = snprintf(head, sizeof head,
                     "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                     "x-request-id: req_mock\r\n\r\n",
                     status, n);
    append(&c->out, head, (size_t)k);
    append(&c->out, body, n);
}

static void send_whole(connection *c) {
    char body[MAX_TEXT + 2048];
    const char *text = strstr(c->model, "--t") ? other_answer : ANSWER;
    const char *before = c->chat ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":";
    const char *after = c->chat ? ",\"refusal\":null}" : "";
    int n = snprintf(body, sizeof body,
                     "{\"id\":\"%s-mock0000000000000000\",\"object\":\"%s\",\"created\":1764000000,"
                     "\"model\":\"%s\",\"choices\":[{\"index\":0,%s%s%s,\"logprobs\":null,"
                     "\"finish_reason\":\"stop\"}]," USAGE DETAILS
                     ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\"}",
                     c->chat ? "chatcmpl" : "cmpl", c->chat ? "chat.completion" : "text_completion", c->model,
                     before, text, after, 36, 120);
    send_json(c, "200 OK", body, (size_t)n);
}

static void stream_event(connection *c, const char *choices, const char *tail) {
    char event[1024];
    int n = snprintf(event, sizeof event,
                     "data: {\"id\":\"%s-mock0000000000000000\",\"object\":\"%s\",\"created\":1764000000,"
                     "\"model\":\"%s\",\"choices\":[%s]%s}\n\n",
                     c->chat ? "chatcmpl" : "cmpl", c->chat ? "chat.completion.chunk" : "text_completion",
                     c->model, choices, tail);
    append_chunk(&c->out, event, (size_t)n);
}

static void stream_content(connection *c) {
    char choice[256], stamp[32];
    snprintf(stamp, sizeof stamp, "@%lld@", (long long)now_ns());
    if (c->chat)
        snprintf(choice, sizeof choice, "{\"index\":0,\"delta\":{%s\"content\":\"%s\"},\"finish_reason\":null}",
                 c->chunks_sent ? "" : "\"role\":\"assistant\",", stamp);
    else
        snprintf(choice, sizeof choice,
                 "{\"index\":0,\"text\":\"%s\",\"logprobs\":null,\"finish_reason\":null}", stamp);
    stream_event(c, choice, "");
    c->chunks_sent++;
    flush(c);
}

static void stream_end(connection *c) {
    char usage[160];
    stream_event(c, c->chat ? "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}"
                            : "{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\"}", "");
    if (c->usage) {
        snprintf(usage, sizeof usage, "," USAGE "}", c->chunks, 84 + c->chunks);
        stream_event(c, "", usage);
    }
    append_chunk(&c->out, "data: [DONE]\n\n", 14);
    append(&c->out, "0\r\n\r\n", 5);
    stop_waiting(c);
    c->work = IDLE;
    flush(c);
}

/* Send what is due by `now`; leave the rest to the clock. */
static void stream_on(connection *c, int64_t now) {
    while (c->open && c->chunks_sent < c->chunks) {
        if (c->gap && c->due > now) {
            wait_for_clock(c);
            return;
        }
        stream_content(c);
        c->due += c->gap;
    }
    if (c->open) stream_end(c);
}

/* ---- requests ---- */

/* Where the value of a top-level-looking `"name":` begins, or NULL. */
static const char *json_value(const char *body, size_t n, const char *name) {
    char key[64];
    size_t k = (size_t)snprintf(key, sizeof key, "\"%s\"", name);
    const char *end = body + n, *p = body;
    while ((p = memmem(p, (size_t)(end - p), key, k))) {
        p += k;
        while (p < end && (*p == ' ' || *p == '\n')) p++;
        if (p < end && *p == ':') {
            p++;
            while (p < end && (*p == ' ' || *p == '\n')) p++;
            return p < end ? p : NULL;
        }
    }
    return NULL;
}

static bool json_true(const char *body, size_t n, const char *name) {
    const char *v = json_value(body, n, name);
    return v && body + n - v >= 4 && !memcmp(v, "true", 4);
}

static long option(const char *model, const char *tag, long otherwise) {
    const char *p = strstr(model, tag);
    return p ? atol(p + strlen(tag)) : otherwise;
}

static void read_model(connection *c, const char *body, size_t n) {
    const char *v = json_value(body, n, "model"), *end = NULL;
    snprintf(c->model, sizeof c->model, "mock");
    if (v && *v == '"') end = memchr(v + 1, '"', (size_t)(body + n - v - 1));
    size_t length = end ? (size_t)(end - v - 1) : sizeof c->model;
    if (length < sizeof c->model) {
        memcpy(c->model, v + 1, length);
        c->model[length] = 0;
    }
}

static void answer(connection *c, const char *line, size_t line_len, const char *body, size_t n) {
    if (!strncmp(line, "GET /calls ", 11)) {
        char text[40];
        send_json(c, "200 OK", text, (size_t)snprintf(text, sizeof text, "{\"calls\": %ld}", calls));
        return;
    }
    if (!strncmp(line, "GET ", 4)) {
        static const char models[] = "{\"object\":\"list\",\"data\":[]}";
        send_json(c, "200 OK", models, sizeof models - 1);
        return;
    }
    calls++;
    c->chat = memmem(line, line_len, "/chat/completions ", 18) != NULL;
    read_model(c, body, n);
    long status = option(c->model, "--s", 0);
    if (status && ++failures % STEADFAST) {
        static const char error[] =
            "{\"error\":{\"message\":\"The server is overloaded.\",\"type\":\"server_error\",\"code\":null}}";
        char text[40];
        snprintf(text, sizeof text, "%ld Not Today", status);
        send_json(c, text, error, sizeof error - 1);
        return;
    }
    if (json_true(body, n, "stream")) {
        c->usage = json_true(body, n, "include_usage");
        c->chunks = (int)option(c->model, "--k", DEFAULT_CHUNKS);
        c->chunks_sent = 0;
        c->gap = option(c->model, "--d", 0) * 1000;
        c->due = now_ns() + c->gap;
        c->work = STREAMING;
        append(&c->out, STREAM_HEAD, strlen(STREAM_HEAD));
        flush(c);
        if (c->open) stream_on(c, now_ns());
        return;
    }
    long delay = option(c->model, "--l", 0);
    if (delay) {
        c->work = DELAYED;
        c->due = now_ns() + delay * 1000;
        wait_for_clock(c);
    } else {
        send_whole(c);
    }
}

static long content_length(const char *head, size_t n) {
    const char *p = head, *end = head + n, *line_end;
    while ((line_end = memchr(p, '\n', (size_t)(end - p)))) {
        if (!strncasecmp(p, "content-length:", 15)) return atol(p + 15);
        if (!strncasecmp(p, "transfer-encoding:", 18)) return -1;
        p = line_end + 1;
    }
    return 0;
}

static void serve(connection *c) {
    while (c->open && c->work == IDLE && c->in.len) {
        char *blank = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);
        if (!blank) break;
        size_t head = (size_t)(blank + 4 - c->in.data);
        long length = content_length(c->in.data, head);
        if (length < 0) { /* no gateway we know sends a request body in chunks */
            send_json(c, "411 Length Required", "{}", 2);
            flush(c);
            if (c->open) hang_up(c);
            return;
        }
        size_t total = head + (size_t)length;
        if (c->in.len < total) {
            reserve(&c->in, total - c->in.len);
            break;
        }
        size_t line_len = (size_t)((char *)memchr(c->in.data, '\r', head) - c->in.data);
        answer(c, c->in.data, line_len, c->in.data + head, (size_t)length);
        if (!c->open) return;
        memmove(c->in.data, c->in.data + total, c->in.len - total);
        c->in.len -= total;
    }
    if (c->open && c->out.len) flush(c);
}

static void receive(connection *c) {
    for (;;) {
        if (c->in.len > MAX_REQUEST) {
            hang_up(c);
            return;
        }
        reserve(&c->in, 8192);
        size_t room = c->in.cap - c->in.len;
        ssize_t n = recv(c->fd, c->in.data + c->in.len, room, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            hang_up(c);
            return;
        }
        if (n < 0) break;
        c->in.len += (size_t)n;
        if ((size_t)n < room) break;
    }
    serve(c);
}

static void run_clock(void) {
    int64_t now = now_ns() + SLACK_NS;
    for (int i = waiting_count - 1; i >= 0; i--) {
        if (i >= waiting_count) continue; /* the set shrank under us */
        connection *c = waiting[i];
        if (c->due > now) continue;
        if (c->work == DELAYED) {
            stop_waiting(c);
            c->work = IDLE;
            send_whole(c);
            flush(c);
        } else {
            stream_on(c, now);
        }
        if (c->open && c->work == IDLE) serve(c);
    }
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: mock_provider PORT [TEXT]\n");
        return 2;
    }
    other_answer = argc > 2 ? argv[2] : ANSWER;
    if (strlen(other_answer) > MAX_TEXT) {
        fprintf(stderr, "mock_provider: TEXT is longer than %d bytes\n", MAX_TEXT);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    static connection all[MAX_CONNECTIONS];
    for (int i = MAX_CONNECTIONS - 1; i >= 0; i--) {
        all[i].place = -1;
        all[i].next_free = free_list;
        free_list = &all[i];
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(argv[1])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&at, sizeof at)) fail("bind");
    if (listen(listener, 1024)) fail("listen");
    poller = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event on_accept = {.events = EPOLLIN, .data.ptr = &listener};
    struct epoll_event on_timer = {.events = EPOLLIN, .data.ptr = &timer};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &on_accept);
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &on_timer);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            void *who = events[i].data.ptr;
            if (who == &listener) {
                accept_all(listener);
            } else if (who == &timer) {
                uint64_t ticks;
                if (read(timer, &ticks, sizeof ticks) > 0) armed_for = INT64_MAX;
                run_clock();
            } else {
                connection *c = who;
                if (c->open && (events[i].events & EPOLLOUT)) flush(c);
                if (c->open && (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))) receive(c);
            }
        }
        if (waiting_count || armed_for != INT64_MAX) arm_timer();
    }
}
