/* A bare publisher, the broker's own bound: AMQP 0-9-1 with confirms, no HTTP, no verification.
 *
 * usage: publish PORT FILE WINDOW COUNT SECONDS FIRST QUEUE
 *
 * FILE is load.c's; the body of each request is published to QUEUE by the default exchange, persistent and mandatory, with the
 * properties that the Go peer sets, over one channel of one connection as guest. WINDOW messages are unconfirmed at any time, as
 * many as load.c's connections keep under way; what a read of confirms has freed goes out in one write. It ends after COUNT messages
 * or SECONDS, whichever is first, and then waits for the confirms that are still due. A confirm is counted as ok unless it is a nack
 * or the message came back. Prints load.c's JSON object. 127.0.0.1 only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GRACE 20.0 /* seconds that confirms may take after the last publish */
#define FRAME_MAX 131072

struct message { char *frames; size_t length; }; /* basic.publish, its header, its body */

static struct message *messages;
static size_t message_count;
static int fd;
static char in[1 << 20];
static size_t got;

static void die(const char *what) { perror(what); exit(2); }
static void say(const char *what) { fprintf(stderr, "%s\n", what); exit(2); }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Write one frame of the parts that `form` names: b w l q (1, 2, 4, 8 bytes), s (short string), S (long string), r (pointer, length). */
static char *frame(char *at, int kind, int channel, const char *form, ...) {
    char *payload = at + 7;
    va_list parts;
    va_start(parts, form);
    for (; *form; form++) {
        if (*form == 'b') *payload++ = va_arg(parts, int);
        if (*form == 'w') { uint16_t x = htobe16(va_arg(parts, int)); memcpy(payload, &x, 2); payload += 2; }
        if (*form == 'l') { uint32_t x = htobe32(va_arg(parts, uint32_t)); memcpy(payload, &x, 4); payload += 4; }
        if (*form == 'q') { uint64_t x = htobe64(va_arg(parts, uint64_t)); memcpy(payload, &x, 8); payload += 8; }
        if (*form == 's' || *form == 'S' || *form == 'r') {
            const char *bytes = va_arg(parts, const char *);
            uint32_t size = va_arg(parts, size_t), big = htobe32(size);
            if (*form == 's') *payload++ = size;
            if (*form == 'S') { memcpy(payload, &big, 4); payload += 4; }
            memcpy(payload, bytes, size);
            payload += size;
        }
    }
    va_end(parts);
    uint16_t c = htobe16(channel);
    uint32_t size = htobe32(payload - at - 7);
    *at = kind;
    memcpy(at + 1, &c, 2);
    memcpy(at + 3, &size, 4);
    *payload++ = (char)0xce;
    return payload;
}

static void read_messages(const char *path, const char *queue) {
    static const char type[] = "text/plain; charset=UTF-8", id_name[] = "x-amz-sns-message-id: ";
    struct stat about;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &about)) die(path);
    const char *data = mmap(NULL, about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) die("mmap");
    for (off_t at = 0; at + 4 <= about.st_size;) {
        uint32_t length;
        memcpy(&length, data + at, 4);
        const char *request = data + at + 4, *end = memmem(request, length, "\r\n\r\n", 4);
        const char *id = memmem(request, length, id_name, sizeof id_name - 1);
        if (!end || !id || id > end) say("a request without a MessageId or a body");
        size_t size = request + length - (end + 4);
        if (size > FRAME_MAX - 8) say("a body that takes more than one frame");
        char *all = malloc(size + 512), *p = all;
        p = frame(p, 1, 1, "wwwssb", 60, 40, 0, "", (size_t)0, queue, strlen(queue), 1);
        /* content-type, delivery-mode, message-id */
        p = frame(p, 2, 1, "wwqwsbs", 60, 0, (uint64_t)size, 0x9080, type, sizeof type - 1, 2, id + sizeof id_name - 1, (size_t)36);
        p = frame(p, 3, 1, "r", end + 4, size);
        if (message_count % 1024 == 0) messages = realloc(messages, (message_count + 1024) * sizeof *messages);
        messages[message_count++] = (struct message){all, p - all};
        at += 4 + length;
    }
    if (!message_count) say("no request in the file");
}

static void put(const char *bytes, size_t size) {
    while (size) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n <= 0) die("send");
        bytes += n;
        size -= n;
    }
}

/* The size of the whole frame at `at`, 0 when more must come. */
static size_t whole(size_t at) {
    uint32_t size;
    if (got - at < 8) return 0;
    memcpy(&size, in + at + 3, 4);
    size = be32toh(size) + 8;
    if (size > sizeof in) say("a frame that is too large");
    return got - at < size ? 0 : size;
}

/* Read until a method of this class and number has come; any other is the broker's refusal. */
static void expect(int class, int method) {
    for (;;) {
        size_t size;
        while (!(size = whole(0))) {
            ssize_t n = recv(fd, in + got, sizeof in - got, 0);
            if (n <= 0) say("the broker ended the connection");
            got += n;
        }
        int kind = in[0], its_class = in[8], its_method = in[10];
        if (kind == 1 && (its_class != class || its_method != method)) say("the broker answered another method than was expected");
        memmove(in, in + size, got - size);
        got -= size;
        if (kind == 1) return;
    }
}

static void open_channel(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    char out[256];
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    put("AMQP\0\0\11\1", 8);
    expect(10, 10);
    put(out, frame(out, 1, 0, "wwlsSs", 10, 11, 0, "PLAIN", (size_t)5, "\0guest\0guest", (size_t)12, "en_US", (size_t)5) - out);
    expect(10, 30);
    char *p = frame(out, 1, 0, "wwwlw", 10, 31, 8, FRAME_MAX, 0);
    put(out, frame(p, 1, 0, "wwssb", 10, 40, "/", (size_t)1, "", (size_t)0, 0) - out);
    expect(10, 41);
    put(out, frame(out, 1, 1, "wws", 20, 10, "", (size_t)0) - out);
    expect(20, 11);
    put(out, frame(out, 1, 1, "wwb", 85, 10, 0) - out);
    expect(85, 11);
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 8) { fprintf(stderr, "usage: publish PORT FILE WINDOW COUNT SECONDS FIRST QUEUE\n"); return 2; }
    read_messages(argv[2], argv[7]);
    long window = atol(argv[3]), limit = atol(argv[4]), first = atol(argv[6]);
    long sent = 0, confirmed = 0, lowest = 1, refused = 0, returned = 0; /* tags begin with 1 */
    double *since = calloc(limit + 1, sizeof *since); /* 0: confirmed */
    float *latencies = malloc((limit + 1) * sizeof *latencies);
    size_t largest = 0, filled = 0;
    for (size_t i = 0; i < message_count; i++) if (messages[i].length > largest) largest = messages[i].length;
    char *out = malloc(window * largest);
    open_channel(atoi(argv[1]));
    struct rusage u0, u1;
    getrusage(RUSAGE_SELF, &u0);
    double begun = now(), deadline = begun + atof(argv[5]), t = begun;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (confirmed < sent || (t < deadline && sent < limit)) {
        while (t < deadline && sent < limit && sent - confirmed < window && filled + largest <= window * largest) {
            struct message *one = &messages[(first + sent++) % message_count];
            memcpy(out + filled, one->frames, one->length);
            filled += one->length;
            since[sent] = t;
        }
        if (filled) {
            ssize_t n = send(fd, out, filled, MSG_NOSIGNAL);
            if (n > 0) { memmove(out, out + n, filled - n); filled -= n; }
        }
        struct pollfd look = {.fd = fd, .events = POLLIN | (filled ? POLLOUT : 0)};
        poll(&look, 1, 1000);
        ssize_t n = recv(fd, in + got, sizeof in - got, 0);
        t = now();
        if (n == 0) say("the broker ended the connection");
        if (n > 0) got += n;
        size_t at = 0, size;
        while ((size = whole(at))) {
            int method = in[at] == 1 ? (unsigned char)in[at + 8] << 8 | (unsigned char)in[at + 10] : 0;
            if (method == (60 << 8 | 80) || method == (60 << 8 | 120)) {
                uint64_t tag;
                memcpy(&tag, in + at + 11, 8);
                long last = be64toh(tag), from = in[at + 19] & 1 ? lowest : last;
                for (long i = from; i <= last; i++) {
                    if (!since[i]) continue;
                    latencies[confirmed++] = (t - since[i]) * 1e3;
                    since[i] = 0;
                    refused += method == (60 << 8 | 120);
                }
                while (lowest <= sent && !since[lowest]) lowest++;
            } else if (method == (60 << 8 | 50)) returned++;
            else if (method && method >> 8 != 60) say("the broker closed the channel or the connection");
            at += size;
        }
        memmove(in, in + at, got - at);
        got -= at;
        if (t > deadline + GRACE) break;
    }
    double end = now();
    getrusage(RUSAGE_SELF, &u1);
    fcntl(fd, F_SETFL, 0);
    char bye[64];
    put(bye, frame(bye, 1, 0, "wwwsww", 10, 50, 200, "", (size_t)0, 0, 0) - bye);
    expect(10, 51);
    qsort(latencies, confirmed, sizeof *latencies, ascending);
    const char *wrong = refused ? "nack" : returned ? "returned" : sent > confirmed ? "no confirm in time" : "";
#define AT(q) (confirmed ? latencies[(long)(q * (confirmed - 1))] : 0.0)
#define SECONDS(t) (t.tv_sec + t.tv_usec / 1e6)
    printf("{\"answered\": %ld, \"ok\": %ld, \"errors\": %ld, \"error\": \"%s\", \"seconds\": %.4f, \"cpu\": %.4f, "
           "\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}\n", confirmed, confirmed - refused - returned, sent - confirmed, wrong, end - begun,
           SECONDS(u1.ru_utime) + SECONDS(u1.ru_stime) - SECONDS(u0.ru_utime) - SECONDS(u0.ru_stime), AT(.5), AT(.99), AT(1.0));
    return 0;
}
