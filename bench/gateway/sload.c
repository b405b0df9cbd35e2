/* Load of calls and streams: one thread, epoll, kept connections; reads the answers of mock.c strictly.
 *
 * sload PORT PATH BODY-FILE CONNECTIONS SECONDS RATE KEY [KEY ...]
 *
 * RATE 0: each connection sends its next call when the last was answered; the first answer of each is not measured, and
 * the window of SECONDS opens when all have had one. RATE > 0: so many calls a second whatever the answers do, and
 * times count from when a call was due. A body with "stream":true must be answered by "max_tokens" events and [DONE];
 * only streams that came whole are counted, with those of their events that came inside the window. When the window
 * has closed, running calls get 20 s to end. Connection n uses key n mod the number of keys.
 *
 * Prints one line of JSON. Times in microseconds: "first" from sending to the first event (a plain call: the first
 * byte), "delay" from the time written in an event to its arrival, "whole" from sending to the end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 4096, LINE_BYTES = 8192, HEAD_BYTES = 16384, READ_BYTES = 65536, EVENTS = 512, MAX_KEYS = 16 };
enum { MAX_SAMPLES = 4000000, MAX_FAULTS = 200 };
static const uint64_t SECOND = 1000000000u, DRAIN = 20, WARM_UP = 30;

typedef enum { IDLE, HEAD, SIZE, DATA, AFTER_DATA, TRAILER, COUNTED, UNTIL_CLOSE } State;

typedef struct {
    State state;
    int number;
    bool is_warm, is_done, is_chunked, closes;
    char head[HEAD_BYTES];
    size_t head_length, left;
    char text[LINE_BYTES]; /* the line of an event, or of a chunk's size */
    size_t text_length, size_length;
    char size[32];
    uint64_t began, first;
    int events, in_window;
} Line;

typedef struct {
    uint32_t *values;
    size_t length;
} Samples;

static Line *lines[MAX_FD];
static Samples firsts, delays, wholes;
static int poller, port, connections, warm, expected, idle[MAX_FD], idle_count, busy, keys;
static bool is_stream;
static char *requests[MAX_KEYS];
static size_t request_length[MAX_KEYS];
static double rate;
static uint64_t opened, closes_at, window, next_due;
static long all_answers, all_events, window_events, window_answers, faults, unfinished;
static char fault[256];

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void note(Samples *samples, uint64_t from, uint64_t to) {
    if (samples->length < MAX_SAMPLES) samples->values[samples->length++] = to > from ? (uint32_t)((to - from) / 1000) : 0;
}

static bool in_window(uint64_t time) { return opened && time < closes_at; }

static bool is_measured(const Line *line) { return rate > 0 ? in_window(line->began) : line->is_warm && in_window(line->began); }

static void connect_one(int number) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || fd >= MAX_FD || connect(fd, (struct sockaddr *)&address, sizeof address)) {
        perror("sload: connect");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    lines[fd] = calloc(1, sizeof(Line));
    lines[fd]->number = number;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    idle[idle_count++] = fd;
}

static void replace(int fd) {
    int number = lines[fd]->number;
    free(lines[fd]);
    lines[fd] = NULL;
    close(fd);
    connect_one(number);
}

static void blame(int fd, const char *why) {
    faults++;
    if (!fault[0]) snprintf(fault, sizeof fault, "%s", why);
    busy--;
    replace(fd);
}

static void ask(int fd, uint64_t since) {
    Line *line = lines[fd];
    int key = line->number % keys;
    line->state = HEAD;
    line->head_length = line->text_length = line->size_length = 0;
    line->events = line->in_window = 0;
    line->is_done = false;
    line->first = 0;
    line->began = since;
    busy++;
    for (size_t sent = 0; sent < request_length[key];) { /* blocks at most for a body of some KB */
        ssize_t got = send(fd, requests[key] + sent, request_length[key] - sent, MSG_NOSIGNAL);
        if (got < 0) {
            blame(fd, "the connection was closed while a call was sent");
            return;
        }
        sent += (size_t)got;
    }
}

static const char *finish(int fd, uint64_t time) {
    Line *line = lines[fd];
    if (is_stream && (!line->is_done || line->events != expected)) return "a stream did not come whole";
    all_answers++;
    all_events += line->events;
    window_events += line->in_window;
    if (in_window(time)) window_answers++;
    if (is_measured(line)) {
        note(&firsts, line->began, line->first);
        note(&wholes, line->began, time);
    }
    if (!line->is_warm) {
        line->is_warm = true;
        warm++;
    }
    line->state = IDLE;
    busy--;
    bool closes = line->closes;
    if (closes) replace(fd);
    else idle[idle_count++] = fd;
    return NULL;
}

/* A whole line of a stream of events. */
static void read_line(Line *line, uint64_t time) {
    char *text = line->text;
    text[line->text_length] = 0;
    if (strncmp(text, "data:", 5) != 0) return;
    if (strstr(text, "[DONE]")) line->is_done = true;
    const char *stamp = strchr(text, '@');
    if (!stamp) return;
    if (!line->first) line->first = time;
    line->events++;
    if (in_window(time)) line->in_window++;
    if (is_measured(line)) note(&delays, strtoull(stamp + 1, NULL, 10), time);
}

static const char *read_body(Line *line, const char *data, size_t length, uint64_t time) {
    if (!is_stream) {
        if (!line->first) line->first = time;
        return NULL;
    }
    while (length) {
        const char *end = memchr(data, '\n', length);
        size_t part = end ? (size_t)(end - data) : length;
        if (line->text_length + part >= LINE_BYTES) return "an event is too long";
        memcpy(line->text + line->text_length, data, part);
        line->text_length += part;
        if (!end) return NULL;
        read_line(line, time);
        line->text_length = 0;
        data = end + 1;
        length -= part + 1;
    }
    return NULL;
}

static const char *read_head(Line *line) {
    char *head = line->head;
    head[line->head_length] = 0;
    if (strncmp(head, "HTTP/1.1 200", 12) != 0) {
        head[strcspn(head, "\r\n")] = 0;
        static char why[128];
        snprintf(why, sizeof why, "answered %.100s", head);
        return why;
    }
    line->closes = strcasestr(head, "\r\nconnection: close") != NULL;
    line->is_chunked = strcasestr(head, "\r\ntransfer-encoding: chunked") != NULL;
    const char *length = strcasestr(head, "\r\ncontent-length:");
    line->state = line->is_chunked ? SIZE : length ? COUNTED : UNTIL_CLOSE;
    line->left = length ? (size_t)strtol(length + 17, NULL, 10) : 0;
    if (line->state == UNTIL_CLOSE) line->closes = true;
    return NULL;
}

/* One step of the parser: takes some bytes, says how many; -1 with `*why` on nonsense; *ended at the answer's end. */
static ssize_t step(Line *line, const char *data, size_t length, uint64_t time, const char **why, bool *ended) {
    size_t part;
    switch (line->state) {
    case HEAD:
        if (line->head_length + 1 >= HEAD_BYTES) return *why = "the head is too long", -1;
        line->head[line->head_length++] = *data;
        if (*data == '\n' && line->head_length >= 4 && !memcmp(line->head + line->head_length - 4, "\r\n\r\n", 4)) {
            if ((*why = read_head(line))) return -1;
            *ended = line->state == COUNTED && !line->left;
        }
        return 1;
    case SIZE:
    case TRAILER:
        if (*data != '\n') {
            if (line->size_length + 1 >= sizeof line->size) return *why = "a chunk's size is too long", -1;
            line->size[line->size_length++] = *data;
            return 1;
        }
        line->size[line->size_length] = 0;
        if (line->state == TRAILER) *ended = line->size_length <= 1;
        else line->state = (line->left = strtoul(line->size, NULL, 16)) ? DATA : TRAILER;
        line->size_length = 0;
        return 1;
    case AFTER_DATA:
        if (*data == '\n') line->state = SIZE;
        return 1;
    case DATA:
    case COUNTED:
    case UNTIL_CLOSE:
        part = line->state == UNTIL_CLOSE || length < line->left ? length : line->left;
        if ((*why = read_body(line, data, part, time))) return -1;
        if (line->state == UNTIL_CLOSE) return (ssize_t)part;
        line->left -= part;
        if (!line->left && line->state == DATA) line->state = AFTER_DATA;
        else if (!line->left) *ended = true;
        return (ssize_t)part;
    case IDLE:
        break;
    }
    return *why = "bytes came that nobody asked for", -1;
}

static void receive(int fd) {
    static char data[READ_BYTES];
    Line *line = lines[fd];
    ssize_t got = recv(fd, data, sizeof data, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    uint64_t time = now();
    const char *why = NULL;
    bool ended = false;
    if (got <= 0 && line->state == IDLE) { /* kept too long: a new one takes its place in the row */
        for (int i = 0; i < idle_count; i++)
            if (idle[i] == fd) idle[i] = idle[--idle_count];
        replace(fd);
        return;
    }
    if (got <= 0) {
        why = line->state == UNTIL_CLOSE ? finish(fd, time) : "the connection was closed in an answer";
        if (why) blame(fd, why);
        return;
    }
    for (const char *at = data; got > 0 && !ended;) {
        ssize_t taken = step(line, at, (size_t)got, time, &why, &ended);
        if (taken < 0) break;
        at += taken;
        got -= taken;
    }
    if (!why && ended) why = got ? "bytes came behind an answer" : finish(fd, time);
    if (why) blame(fd, why);
}

static void send_due(uint64_t time) {
    bool may_send = !opened || time < closes_at;
    if (rate <= 0) {
        while (may_send && idle_count && faults <= MAX_FAULTS) ask(idle[--idle_count], now());
        return;
    }
    for (; may_send && next_due <= time && idle_count; next_due += (uint64_t)((double)SECOND / rate))
        ask(idle[--idle_count], next_due);
}

static int order(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print(const char *name, Samples *samples) {
    qsort(samples->values, samples->length, sizeof(uint32_t), order);
    uint32_t *v = samples->values;
    size_t n = samples->length;
    printf(", \"%s\": {\"n\": %zu, \"p50\": %u, \"p95\": %u, \"p99\": %u}", name, n, n ? v[n / 2] : 0, n ? v[n * 95 / 100] : 0,
           n ? v[n * 99 / 100] : 0);
}

static void report(uint64_t ended) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    uint64_t end = ended < closes_at ? ended : closes_at;
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"seconds\": %.6f, \"answers\": %ld, \"events\": %ld, \"all_answers\": %ld, \"all_events\": %ld, \"faults\": %ld, "
           "\"unfinished\": %ld, \"fault\": \"%s\", \"cpu\": %.3f", opened && end > opened ? (double)(end - opened) / 1e9 : 0.0, window_answers,
           window_events, all_answers, all_events, faults, unfinished, fault, cpu);
    print("first", &firsts);
    print("delay", &delays);
    print("whole", &wholes);
    printf("}\n");
}

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    char *text = calloc(1, 4 << 20);
    *length = fread(text, 1, (4 << 20) - 1, file);
    fclose(file);
    return text;
}

static void prepare(char **argv) {
    size_t length;
    char *body = read_file(argv[3], &length);
    is_stream = strstr(body, "\"stream\":true") != NULL;
    const char *tokens = strstr(body, "\"max_tokens\":");
    expected = tokens ? (int)strtol(tokens + 13, NULL, 10) : 0;
    for (char **key = argv + 7; *key && keys < MAX_KEYS; key++, keys++) {
        char *text = requests[keys] = malloc(length + 2048);
        int head = snprintf(text, 2048, "POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %s\r\n"
                            "content-type: application/json\r\ncontent-length: %zu\r\n\r\n", argv[2], *key, length);
        memcpy(text + head, body, length);
        request_length[keys] = (size_t)head + length;
    }
    free(body);
    Samples *all[] = {&firsts, &delays, &wholes};
    for (int i = 0; i < 3; i++) all[i]->values = malloc(MAX_SAMPLES * sizeof(uint32_t));
}

static int wait_for(struct epoll_event *events) {
    struct timespec limit = {.tv_nsec = 20000000};
    if (rate > 0 && idle_count) {
        uint64_t time = now(), left = next_due > time ? next_due - time : 0;
        if (left < 20000000) limit.tv_nsec = (long)left;
    }
    return epoll_pwait2(poller, events, EVENTS, &limit, NULL);
}

int main(int argc, char **argv) {
    if (argc < 8) {
        fprintf(stderr, "sload PORT PATH BODY-FILE CONNECTIONS SECONDS RATE KEY [KEY ...]\n");
        return 2;
    }
    port = atoi(argv[1]);
    connections = atoi(argv[4]);
    window = (uint64_t)(atof(argv[5]) * 1e9);
    rate = atof(argv[6]);
    prepare(argv);
    poller = epoll_create1(0);
    for (int i = 0; i < connections; i++) connect_one(i);
    uint64_t began = now(), time = began;
    next_due = began;
    struct epoll_event events[EVENTS];
    for (;;) {
        if (!opened && (rate > 0 || warm >= connections || time - began > WARM_UP * SECOND)) {
            opened = time;
            closes_at = opened + window;
        }
        send_due(time);
        if (faults > MAX_FAULTS || (opened && time >= closes_at && (!busy || time >= closes_at + DRAIN * SECOND))) break;
        int count = wait_for(events);
        for (int i = 0; i < count; i++)
            if (lines[events[i].data.fd]) receive(events[i].data.fd);
        time = now();
    }
    unfinished = busy;
    report(time);
    return 0;
}
