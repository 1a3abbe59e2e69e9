/* loadgen.c: HTTP/1.1 keep-alive clients in one thread, and a check of every answer.
 *
 *     loadgen -p PORT -u PATH -d BODY_FILE -c CLIENTS (-t SECONDS | -n REQUESTS) [-r RATE]
 *             [-H 'Name: value']... [-w TEXT] [-k TIMES] [-e EVENTS] [-s] [-g GRACE_SECONDS] [-o]
 *             [-i MARK [-b]] [-q OTHER_PORT]
 *
 * Closed loop (no -r): each client sends its next request when its answer is complete.
 * Open loop (-r): a request falls due every 1/RATE seconds whatever the answers do. One that finds all
 * clients busy waits for its turn, and its latency runs from the moment it was due, so that a slow
 * gateway cannot hide behind the requests it kept from being sent (no coordinated omission).
 *
 * No request starts after -t seconds; those under way are waited for, GRACE_SECONDS at most (30).
 *
 * An answer is good when its status is 2xx, it is whole (all bytes of Content-Length, or the last
 * chunk), holds TEXT at least TIMES times (-w, -k), and for -s is an event stream that ends with
 * [DONE] and carries exactly EVENTS stamped events (-e). The rest is counted by kind; the first bad
 * answer is shown. Latencies are microseconds: of good and bad answers alike.
 *
 * With -o (for overload) a whole answer of status 503 is a refusal: neither bad nor among the latencies, but counted,
 * with latencies, by itself. They run from when the request was sent.
 *
 * With -i every request is another one: the first MARK in the body, 16 characters or more, is written over with a
 * number that no request had before, of this run or an earlier one. With -b the clients send the same number all at
 * once, and the next when all have been answered. With -q every other client sends to that port.
 *
 * Events stamped "@<CLOCK_MONOTONIC nanoseconds>@" give the event delay: provider's write to our read.
 * Prints one JSON object. Connects to 127.0.0.1 only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    int64_t *items;
    size_t len, cap;
} series;

typedef struct {
    int fd;
    bool busy, close_after, event_stream, whole;
    int64_t since; /* when the request was due */
    int64_t sent_at;
    size_t sent;
    enum { HEAD, SIZED, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, UNTIL_CLOSE } state;
    char head[16384];
    size_t head_len;
    char line[64];
    size_t line_len;
    size_t left;
    int status;
    char *body;
    size_t body_len, body_cap;
    bool in_stamp;
    int stamp_digits;
    int64_t stamp;
    long events;
    int64_t first_byte;
    char *request;
    int port;
} client;

static struct {
    int port, other_port, clients, times;
    const char *path, *text, *mark;
    char headers[8192];
    char *request;
    size_t request_len;
    long limit, events;
    double seconds, rate, grace;
    bool stream, overload, bursts;
    size_t mark_at; /* of the request */
} opt = {.clients = 1, .times = 1, .path = "/", .grace = 30, .events = -1};

static struct {
    long started, done, bad_status, broken, wrong_text, no_done, wrong_events, reconnects, events;
    uint64_t bytes;
    long refused;
    series latency, first_byte, event_delay, refusal;
    int last_bad_status;
    char sample[240];
} count;

static int poller;
static int64_t began, stop_at, last_finish;
static client *all;
static client **idle;
static int64_t number; /* of the last request */
static int in_burst; /* not yet answered */
static int idle_count;
static series overdue; /* due times of requests that found no idle client */
static size_t overdue_head;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void add(series *s, int64_t item) {
    if (s->len == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 65536;
        s->items = realloc(s->items, s->cap * sizeof *s->items);
        if (!s->items) fail("realloc");
    }
    s->items[s->len++] = item;
}

/* ---- clients ---- */

static void watch(client *c, int how, bool writable) {
    struct epoll_event e = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, how, c->fd, &e);
}

static void open_connection(client *c) {
    int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)c->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(c, EPOLL_CTL_ADD, false);
}

static void reopen(client *c) {
    close(c->fd);
    count.reconnects++;
    open_connection(c);
}

static void send_more(client *c, bool was_waiting) {
    while (c->sent < opt.request_len) {
        ssize_t n = send(c->fd, c->request + c->sent, opt.request_len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            /* a broken connection shows when it is read */
            if (errno == EAGAIN && !was_waiting) watch(c, EPOLL_CTL_MOD, true);
            return;
        }
        c->sent += (size_t)n;
    }
    if (was_waiting) watch(c, EPOLL_CTL_MOD, false);
}

static void write_number(client *c) {
    char digits[32];
    size_t n = strlen(opt.mark);
    snprintf(digits, sizeof digits, "%016lld", (long long)number);
    memset(c->request + opt.mark_at, '0', n);
    memcpy(c->request + opt.mark_at + n - 16, digits, 16);
}

static void start(client *c, int64_t due) {
    if (opt.mark) {
        if (!opt.bursts) number++;
        write_number(c);
    }
    count.started++;
    c->busy = true;
    c->whole = c->event_stream = c->close_after = c->in_stamp = false;
    c->since = due;
    c->sent_at = opt.overload ? now_ns() : 0;
    c->state = HEAD;
    c->sent = c->head_len = c->body_len = 0;
    c->events = 0;
    c->status = 0;
    c->first_byte = 0;
    send_more(c, false);
}

static bool may_start(int64_t now) {
    return (!opt.limit || count.started < opt.limit) && now < stop_at;
}

static void start_burst(void) {
    number++;
    in_burst = opt.clients;
    for (int i = 0; i < opt.clients; i++) start(&all[i], now_ns());
}

/* ---- judging an answer ---- */

static int occurrences(const client *c, const char *text) {
    int n = 0;
    size_t k = strlen(text);
    const char *p = c->body, *end = c->body + c->body_len;
    while (p && (p = memmem(p, (size_t)(end - p), text, k))) {
        n++;
        p += k;
    }
    return n;
}

static bool ends_with_done(const client *c) {
    static const char mark[] = "data: [DONE]";
    size_t tail = c->body_len < 64 ? c->body_len : 64;
    return tail && memmem(c->body + c->body_len - tail, tail, mark, sizeof mark - 1);
}

static long *fault(const client *c) {
    if (!c->whole) return &count.broken;
    if (c->status / 100 != 2) return &count.bad_status;
    if (opt.text && occurrences(c, opt.text) < opt.times) return &count.wrong_text;
    if (opt.stream && !(c->event_stream && ends_with_done(c))) return &count.no_done;
    if (opt.events >= 0 && c->events != opt.events) return &count.wrong_events;
    return NULL;
}

static void remember_bad(const client *c) {
    count.last_bad_status = c->status;
    if (count.sample[0]) return;
    size_t n = c->body_len < sizeof count.sample - 1 ? c->body_len : sizeof count.sample - 1;
    for (size_t i = 0; i < n; i++) {
        char ch = c->body[i];
        count.sample[i] = ch == '"' || ch == '\\' ? '\'' : ch < 32 || ch > 126 ? ' ' : ch;
    }
}

static void judge(client *c, int64_t now) {
    if (opt.overload && c->whole && c->status == 503) {
        count.refused++;
        add(&count.refusal, now - c->sent_at);
        return;
    }
    long *kind = fault(c);
    if (kind) {
        (*kind)++;
        remember_bad(c);
    }
    add(&count.latency, now - c->since);
    add(&count.first_byte, (c->first_byte ? c->first_byte : now) - c->since);
}

static void finish(client *c, int64_t now) {
    judge(c, now);
    count.done++;
    last_finish = now;
    c->busy = false;
    if (c->close_after || !c->whole) reopen(c);
    if (opt.rate > 0) {
        if (overdue_head < overdue.len)
            start(c, overdue.items[overdue_head++]);
        else
            idle[idle_count++] = c;
    } else if (opt.bursts) {
        if (!--in_burst && may_start(now)) start_burst();
    } else if (may_start(now)) {
        start(c, now_ns());
    }
}

/* ---- reading an answer ---- */

static void find_stamps(client *c, const char *p, size_t n, int64_t now) {
    for (const char *end = p + n; p < end; p++) {
        if (!c->in_stamp) {
            p = memchr(p, '@', (size_t)(end - p));
            if (!p) return;
            c->in_stamp = true;
            c->stamp = c->stamp_digits = 0;
        } else if (*p >= '0' && *p <= '9' && c->stamp_digits < 19) {
            c->stamp = c->stamp * 10 + (*p - '0');
            c->stamp_digits++;
        } else if (*p == '@' && c->stamp_digits > 8) {
            add(&count.event_delay, now - c->stamp);
            c->events++;
            count.events++;
            c->in_stamp = false;
        } else { /* an @ of somebody's text; it may begin a stamp all the same */
            c->in_stamp = *p == '@';
            c->stamp = c->stamp_digits = 0;
        }
    }
}

static void keep(client *c, const char *p, size_t n, int64_t now) {
    if (!c->first_byte) c->first_byte = now;
    if (c->body_len + n > c->body_cap) {
        c->body_cap = (c->body_len + n) * 2;
        c->body = realloc(c->body, c->body_cap);
        if (!c->body) fail("realloc");
    }
    memcpy(c->body + c->body_len, p, n);
    c->body_len += n;
    if (opt.stream) find_stamps(c, p, n, now);
}

static void read_head(client *c) {
    long length = -1;
    bool chunked = false;
    c->head[c->head_len] = 0;
    c->status = atoi(c->head + 9);
    for (char *p = c->head, *eol; (eol = strchr(p, '\n')); p = eol + 1) {
        size_t n = (size_t)(eol - p);
        if (!strncasecmp(p, "content-length:", 15)) length = atol(p + 15);
        if (!strncasecmp(p, "transfer-encoding:", 18)) chunked = memmem(p, n, "chunked", 7);
        if (!strncasecmp(p, "connection:", 11)) c->close_after = memmem(p, n, "close", 5);
        if (!strncasecmp(p, "content-type:", 13)) c->event_stream = memmem(p, n, "text/event-stream", 17);
    }
    if (c->status / 100 == 1) { /* an interim answer: the real one follows */
        c->head_len = 0;
        return;
    }
    c->line_len = 0;
    c->left = length > 0 ? (size_t)length : 0;
    c->state = chunked ? CHUNK_SIZE : length >= 0 ? SIZED : UNTIL_CLOSE;
    c->whole = c->state == SIZED && !c->left;
}

/* Eats up to one line; true when the line is complete and stands, ended by NUL, in c->line. */
static bool eat_line(client *c, const char **p, const char *end) {
    while (*p < end) {
        char ch = *(*p)++;
        if (ch == '\n') {
            c->line[c->line_len] = 0;
            c->line_len = 0;
            return true;
        }
        if (ch != '\r' && c->line_len < sizeof c->line - 1) c->line[c->line_len++] = ch;
    }
    return false;
}

static void eat_head(client *c, const char **p, const char *end) {
    while (*p < end && c->state == HEAD) {
        if (c->head_len == sizeof c->head - 1) {
            fprintf(stderr, "loadgen: an answer's head is larger than %zu bytes\n", sizeof c->head);
            exit(1);
        }
        c->head[c->head_len++] = *(*p)++;
        if (c->head_len >= 4 && !memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4)) {
            read_head(c);
            if (c->whole) return;
        }
    }
}

static void eat_data(client *c, const char **p, const char *end, int64_t now) {
    size_t n = (size_t)(end - *p);
    if (c->state != UNTIL_CLOSE) {
        if (n > c->left) n = c->left;
        c->left -= n;
    }
    keep(c, *p, n, now);
    *p += n;
    if (c->state == SIZED && !c->left) c->whole = true;
    if (c->state == CHUNK_DATA && !c->left) c->state = CHUNK_END;
}

static void eat(client *c, const char *p, size_t n, int64_t now) {
    const char *end = p + n;
    count.bytes += n;
    while (p < end && !c->whole) {
        switch (c->state) {
        case HEAD: eat_head(c, &p, end); break;
        case SIZED:
        case CHUNK_DATA:
        case UNTIL_CLOSE: eat_data(c, &p, end, now); break;
        case CHUNK_SIZE:
            if (eat_line(c, &p, end)) {
                c->left = strtoul(c->line, NULL, 16);
                c->state = c->left ? CHUNK_DATA : TRAILER;
            }
            break;
        case CHUNK_END:
            if (eat_line(c, &p, end)) c->state = CHUNK_SIZE;
            break;
        case TRAILER:
            if (eat_line(c, &p, end)) c->whole = !c->line[0];
            break;
        }
    }
    if (p < end) { /* bytes after the end: not an answer to this request */
        c->whole = false;
        c->close_after = true;
        finish(c, now);
    } else if (c->whole) {
        finish(c, now);
    }
}

static void receive(client *c) {
    static char bytes[1 << 18];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0 && c->busy) {
        eat(c, bytes, (size_t)n, now_ns());
    } else if (c->busy) {
        c->whole = n == 0 && c->state == UNTIL_CLOSE;
        c->close_after = true;
        finish(c, now_ns());
    } else {
        reopen(c); /* an idle connection was closed, or spoke out of turn */
    }
}

/* ---- the loop ---- */

static void begin_due(int timer, long *fallen_due) {
    int64_t now = now_ns(), due;
    for (;;) {
        due = began + (int64_t)((double)*fallen_due * 1e9 / opt.rate);
        if ((opt.limit && *fallen_due >= opt.limit) || due >= stop_at) return;
        if (due > now) break;
        ++*fallen_due;
        if (idle_count)
            start(idle[--idle_count], due);
        else
            add(&overdue, due);
    }
    struct itimerspec at = {.it_value = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static bool under_way(int64_t now, long fallen_due) {
    if (now >= stop_at + (int64_t)(opt.grace * 1e9)) return false;
    if (count.done < count.started || overdue_head < overdue.len) return true;
    return opt.rate > 0 && now < stop_at && (!opt.limit || fallen_due < opt.limit);
}

static void run(void) {
    struct epoll_event events[256];
    long fallen_due = 0;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event on_timer = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &on_timer);
    began = now_ns();
    stop_at = opt.seconds > 0 ? began + (int64_t)(opt.seconds * 1e9) : INT64_MAX / 2;
    for (int i = 0; i < opt.clients; i++) {
        if (opt.rate > 0)
            idle[idle_count++] = &all[i];
        else if (!opt.bursts && may_start(began))
            start(&all[i], now_ns());
    }
    if (opt.rate > 0) begin_due(timer, &fallen_due);
    if (opt.bursts) start_burst();
    while (under_way(now_ns(), fallen_due)) {
        int n = epoll_wait(poller, events, 256, 100);
        for (int i = 0; i < n; i++) {
            client *c = events[i].data.ptr;
            if (!c) {
                uint64_t ticks;
                if (read(timer, &ticks, sizeof ticks) > 0) begin_due(timer, &fallen_due);
                continue;
            }
            if (events[i].events & EPOLLOUT) send_more(c, true);
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) receive(c);
        }
    }
}

/* ---- the result ---- */

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_quantiles(const char *name, series *s) {
    if (s->len) qsort(s->items, s->len, sizeof *s->items, ascending);
    const double at[] = {0.5, 0.9, 0.99, 1};
    const char *label[] = {"p50", "p90", "p99", "max"};
    printf("\"%s\":{", name);
    for (int i = 0; i < 4; i++) {
        size_t k = (size_t)(at[i] * (double)s->len);
        if (k >= s->len) k = s->len - 1;
        printf("%s\"%s\":%.1f", i ? "," : "", label[i], s->len ? (double)s->items[k] / 1000 : 0);
    }
    printf("},");
}

static void print_result(double seconds) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    long unfinished = count.started - count.done + (long)(overdue.len - overdue_head);
    printf("{\"requests\":%ld,\"seconds\":%.6f,\"rate\":%.1f,", count.done, seconds,
           (double)count.done / seconds);
    print_quantiles("latency_us", &count.latency);
    print_quantiles("first_byte_us", &count.first_byte);
    print_quantiles("event_delay_us", &count.event_delay);
    print_quantiles("refusal_us", &count.refusal);
    printf("\"refused\":%ld,", count.refused);
    printf("\"events\":%ld,\"bytes\":%llu,\"reconnects\":%ld,", count.events,
           (unsigned long long)count.bytes, count.reconnects);
    printf("\"bad\":{\"status\":%ld,\"broken\":%ld,\"text\":%ld,\"no_done\":%ld,\"events\":%ld,\"unfinished\":%ld},",
           count.bad_status, count.broken, count.wrong_text, count.no_done, count.wrong_events, unfinished);
    printf("\"bad_status\":%d,\"bad_sample\":\"%s\",", count.last_bad_status, count.sample);
    printf("\"cpu_s\":%.6f}\n", (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                                    (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
}

static void build_request(const char *file) {
    FILE *f = fopen(file, "rb");
    if (!f || fseek(f, 0, SEEK_END)) fail(file);
    size_t n = (size_t)ftell(f), head_room = sizeof opt.headers + 1024;
    rewind(f);
    opt.request = malloc(n + head_room);
    int k = snprintf(opt.request, head_room,
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: bench\r\nAccept: */*\r\n"
                     "Content-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
                     opt.path, opt.port, opt.headers, n);
    if (k < 0 || (size_t)k >= head_room || fread(opt.request + k, 1, n, f) != n) fail(file);
    opt.request_len = (size_t)k + n;
    fclose(f);
    if (!opt.mark) return;
    const char *at = memmem(opt.request + k, n, opt.mark, strlen(opt.mark));
    if (!at || strlen(opt.mark) < 16) {
        fprintf(stderr, "loadgen: the body needs a MARK of 16 characters or more\n");
        exit(2);
    }
    opt.mark_at = (size_t)(at - opt.request);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t); /* microseconds: more than there will be requests */
    number = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void read_options(int argc, char **argv) {
    const char *file = NULL;
    size_t used = 0;
    for (int o; (o = getopt(argc, argv, "p:u:d:c:t:n:r:H:w:k:e:sg:oi:bq:")) != -1;) {
        switch (o) {
        case 'p': opt.port = atoi(optarg); break;
        case 'u': opt.path = optarg; break;
        case 'd': file = optarg; break;
        case 'c': opt.clients = atoi(optarg); break;
        case 't': opt.seconds = atof(optarg); break;
        case 'n': opt.limit = atol(optarg); break;
        case 'r': opt.rate = atof(optarg); break;
        case 'w': opt.text = optarg; break;
        case 'k': opt.times = atoi(optarg); break;
        case 'e': opt.events = atol(optarg); break;
        case 's': opt.stream = true; break;
        case 'o': opt.overload = true; break;
        case 'i': opt.mark = optarg; break;
        case 'b': opt.bursts = true; break;
        case 'q': opt.other_port = atoi(optarg); break;
        case 'g': opt.grace = atof(optarg); break;
        case 'H':
            used += (size_t)snprintf(opt.headers + used, sizeof opt.headers - used, "%s\r\n", optarg);
            if (used < sizeof opt.headers) break;
            /* fall through */
        default: exit(2);
        }
    }
    if (opt.bursts && (!opt.mark || opt.rate > 0)) exit(2);
    if (!opt.port || !file || opt.clients < 1 || (opt.seconds <= 0 && opt.limit <= 0)) {
        fprintf(stderr, "usage: loadgen -p PORT -u PATH -d BODY_FILE -c CLIENTS (-t SECONDS | -n REQUESTS) ...\n");
        exit(2);
    }
    build_request(file);
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    poller = epoll_create1(0);
    all = calloc((size_t)opt.clients, sizeof *all);
    idle = calloc((size_t)opt.clients, sizeof *idle);
    for (int i = 0; i < opt.clients; i++) {
        all[i].request = opt.request;
        if (opt.mark && !(all[i].request = malloc(opt.request_len))) fail("malloc");
        if (opt.mark) memcpy(all[i].request, opt.request, opt.request_len);
        all[i].port = opt.other_port && i % 2 ? opt.other_port : opt.port;
        open_connection(&all[i]);
    }
    run();
    /* The loop looks up from time to time only: what counts is when the last answer came. */
    print_result((double)((last_finish ? last_finish : now_ns()) - began) / 1e9);
    return 0;
}
