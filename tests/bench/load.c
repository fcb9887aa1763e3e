/* Load generator: prebuilt requests over keep-alive connections, one thread, one epoll loop.
 *
 * usage: load PORT FILE CONNECTIONS COUNT SECONDS FIRST
 *
 * FILE holds whole HTTP requests, each after its length (4 bytes, little endian). The load is a closed loop: a connection
 * sends its next request when the last one's answer is whole. It ends after COUNT requests or SECONDS, whichever is first,
 * and then waits for the answers that are still due. Every answer is parsed: its status counted, its body's length held
 * against Content-Length, bytes that nobody asked for counted as an error. Prints one JSON object. 127.0.0.1 only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GRACE 20.0 /* seconds that answers may take after the last request */

struct request { const char *bytes; size_t length; };
struct connection { int fd, waits, watched; size_t sent, got; struct request *now; double since; char in[4096]; };

static struct request *requests;
static size_t request_count, started, limit, first;
static long answered, ok, errors, in_flight;
static char error_text[200];
static float *latencies;
static double deadline;
static int port, epoll;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) { perror(what); exit(2); }

static void fault(const char *what) {
    if (!errors++) snprintf(error_text, sizeof error_text, "%s", what);
}

static void read_requests(const char *path) {
    struct stat about;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &about)) die(path);
    const char *data = mmap(NULL, about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (data == MAP_FAILED) die("mmap");
    for (off_t at = 0; at + 4 <= about.st_size;) {
        uint32_t length;
        memcpy(&length, data + at, 4);
        if (request_count % 1024 == 0) requests = realloc(requests, (request_count + 1024) * sizeof *requests);
        requests[request_count++] = (struct request){data + at + 4, length};
        at += 4 + length;
    }
    close(fd);
    if (!request_count) { fprintf(stderr, "%s: no request in it\n", path); exit(2); }
}

static void watch(struct connection *c, int events, int how) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, how, c->fd, &event)) die("epoll_ctl");
    c->watched = events;
}

static void open_connection(struct connection *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->got = c->waits = 0;
    watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

static void go_on(struct connection *c) { /* send what is left of the request */
    ssize_t n = send(c->fd, c->now->bytes + c->sent, c->now->length - c->sent, MSG_NOSIGNAL);
    if (n > 0) c->sent += n;
    int wanted = c->sent < c->now->length ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (wanted != c->watched) watch(c, wanted, EPOLL_CTL_MOD);
}

static void next(struct connection *c) {
    double t = now();
    if (started >= limit || t > deadline) return;
    c->now = &requests[(first + started++) % request_count];
    c->sent = c->got = 0;
    c->since = t;
    c->waits = 1;
    in_flight++;
    go_on(c);
}

static void again(struct connection *c, const char *why) {
    if (c->waits) { fault(why); in_flight--; }
    close(c->fd);
    if (errors > 1000) { fprintf(stderr, "too many errors: %s\n", error_text); exit(2); }
    open_connection(c);
    next(c);
}

/* The answer's length when it is whole, 0 when more must come, -1 when it is not HTTP as we expect it. */
static long whole(struct connection *c, int *status, int *closes) {
    c->in[c->got] = 0;
    char *end = memmem(c->in, c->got, "\r\n\r\n", 4);
    if (!end) return c->got >= sizeof c->in - 1 ? -1 : 0;
    if (strncmp(c->in, "HTTP/1.1 ", 9)) return -1;
    *status = atoi(c->in + 9);
    char *length = strcasestr(c->in, "\r\ncontent-length:"), *close_it = strcasestr(c->in, "\r\nconnection: close");
    if (!length || length > end) return -1;
    *closes = close_it && close_it < end;
    long size = end + 4 - c->in + atol(length + 17);
    if (size > (long)sizeof c->in - 1) return -1;
    return (long)c->got < size ? 0 : size;
}

static void receive(struct connection *c) {
    ssize_t n = recv(c->fd, c->in + c->got, sizeof c->in - 1 - c->got, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { again(c, n ? "the connection was reset" : "the connection was closed without an answer"); return; }
    c->got += n;
    if (!c->waits) { again(c, ""); fault("bytes that nobody asked for"); return; }
    int status = 0, closes = 0;
    long size = whole(c, &status, &closes);
    if (!size) return;
    if (size < 0 || (long)c->got > size || c->sent < c->now->length) { again(c, "an answer that is not as expected"); return; }
    latencies[answered++] = (now() - c->since) * 1e3;
    in_flight--;
    c->waits = c->got = 0;
    if (status == 200) ok++;
    else if (answered - ok == 1) snprintf(error_text, sizeof error_text, "status %d", status);
    if (closes) again(c, ""); else next(c);
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 7) { fprintf(stderr, "usage: load PORT FILE CONNECTIONS COUNT SECONDS FIRST\n"); return 2; }
    port = atoi(argv[1]);
    read_requests(argv[2]);
    int count = atoi(argv[3]);
    limit = atol(argv[4]);
    first = atol(argv[6]);
    latencies = malloc((limit + count) * sizeof *latencies);
    struct connection *all = calloc(count, sizeof *all);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++) open_connection(&all[i]);
    struct rusage u0, u1;
    getrusage(RUSAGE_SELF, &u0);
    double begun = now(), end;
    deadline = begun + atof(argv[5]);
    for (int i = 0; i < count; i++) next(&all[i]);
    while (in_flight && (end = now()) < deadline + GRACE) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, 1000);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) go_on(c);
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) receive(c);
        }
    }
    end = now();
    getrusage(RUSAGE_SELF, &u1);
    if (in_flight) { fault("no answer in time"); errors += in_flight - 1; }
    qsort(latencies, answered, sizeof *latencies, ascending);
#define AT(q) (answered ? latencies[(long)(q * (answered - 1))] : 0.0)
#define SECONDS(t) (t.tv_sec + t.tv_usec / 1e6)
    printf("{\"answered\": %ld, \"ok\": %ld, \"errors\": %ld, \"error\": \"%s\", \"seconds\": %.4f, \"cpu\": %.4f, "
           "\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}\n", answered, ok, errors, error_text, end - begun,
           SECONDS(u1.ru_utime) + SECONDS(u1.ru_stime) - SECONDS(u0.ru_utime) - SECONDS(u0.ru_stime), AT(.5), AT(.99), AT(1.0));
    return 0;
}
