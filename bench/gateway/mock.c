/* An engine that costs almost nothing: one thread, epoll, HTTP/1.1 with keep-alive, OpenAI's answers.
 *
 * POST with "stream":true is answered by "max_tokens" server-sent events of about 220 bytes, one each "seed"
 * microseconds (0: as fast as they are taken), the first at once, then the usage and [DONE]. Each event carries the
 * monotonic time of its sending in nanoseconds as "@" and 19 digits. Any other POST gets 497 bytes of JSON with the
 * usage; GET gets a list of one model. Prints its port, then serves until it is killed.
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 4096, HEAD_BYTES = 65536, OUT_BYTES = 4096, EVENTS = 512, EVENT_BYTES = 220, PLAIN_BYTES = 497 };

typedef struct {
    bool open, streaming, wants_usage;
    char *in;
    size_t in_size, in_length;
    char out[OUT_BYTES]; /* what the socket did not take yet */
    size_t out_length;
    uint64_t due, pace; /* nanoseconds */
    int left, total, place; /* place: index in the heap, -1 where it is in none */
} Line;

static Line lines[MAX_FD];
static int heap[MAX_FD], heap_length, poller;
static char plain[1024], models[512];
static size_t plain_length, models_length;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The streams that wait for their next event, the most urgent first. */

static void put(int at, int fd) {
    heap[at] = fd;
    lines[fd].place = at;
}

static void sift(int at) {
    int fd = heap[at];
    while (at > 0 && lines[heap[(at - 1) / 2]].due > lines[fd].due) {
        put(at, heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        int child = 2 * at + 1;
        if (child >= heap_length) break;
        if (child + 1 < heap_length && lines[heap[child + 1]].due < lines[heap[child]].due) child++;
        if (lines[heap[child]].due >= lines[fd].due) break;
        put(at, heap[child]);
        at = child;
    }
    put(at, fd);
}

static void schedule(int fd) {
    if (lines[fd].place < 0) put(heap_length++, fd);
    sift(lines[fd].place);
}

static void unschedule(int fd) {
    int at = lines[fd].place;
    if (at < 0) return;
    lines[fd].place = -1;
    int last = heap[--heap_length];
    if (last == fd) return;
    put(at, last);
    sift(at);
}

static void hang_up(int fd) {
    unschedule(fd);
    lines[fd].open = false;
    free(lines[fd].in);
    close(fd);
}

static void watch(int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
}

/* Send, or keep what the socket does not take; false where the caller has gone. */
static bool tell(int fd, const char *data, size_t length) {
    Line *line = &lines[fd];
    ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    size_t rest = length - (sent > 0 ? (size_t)sent : 0);
    if (rest) {
        memcpy(line->out, data + length - rest, rest);
        line->out_length = rest;
        watch(fd, EPOLLIN | EPOLLOUT);
    }
    return true;
}

static int event(char *to, uint64_t time, bool is_last) {
    char text[EVENT_BYTES + 1];
    int length = snprintf(text, sizeof text,
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\",\"choices\":"
        "[{\"index\":0,\"delta\":{\"content\":\"@%019llu", (unsigned long long)time);
    const char *end = is_last ? "\"},\"finish_reason\":\"stop\"}]}\n\n" : "\"},\"finish_reason\":null}]}\n\n";
    while (length + (int)strlen(end) < EVENT_BYTES) text[length] = length % 6 ? 'w' : ' ', length++;
    text[length] = 0;
    return sprintf(to, "%x\r\n%s%s\r\n", length + (int)strlen(end), text, end);
}

static int ending(char *to, const Line *line) {
    int length = 0;
    if (line->wants_usage) {
        char text[512];
        int size = snprintf(text, sizeof text,
            "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\",\"choices\":[],"
            "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n", line->total, line->total + 20);
        length = sprintf(to, "%x\r\n%s\r\n", size, text);
    }
    return length + sprintf(to + length, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

/* One event, with the head before the first and the ending behind the last. */
static bool step(int fd, uint64_t time) {
    Line *line = &lines[fd];
    char text[2048];
    int length = 0;
    if (line->left == line->total)
        length = sprintf(text, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                               "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n");
    line->left--;
    length += event(text + length, time, line->left == 0);
    if (line->left == 0) length += ending(text + length, line);
    if (!tell(fd, text, (size_t)length)) return false;
    if (line->left == 0) {
        line->streaming = false;
        unschedule(fd);
        return true;
    }
    line->due = line->pace ? line->due + line->pace : time + 1;
    if (line->out_length) unschedule(fd); /* goes on when the socket takes more */
    else schedule(fd);
    return true;
}

static long number(const char *body, const char *name, long otherwise) {
    const char *found = strstr(body, name);
    if (!found) return otherwise;
    found += strlen(name);
    while (*found == ' ' || *found == ':') found++;
    return strtol(found, NULL, 10);
}

static bool is_true(const char *body, const char *name) {
    const char *found = strstr(body, name);
    if (!found) return false;
    found += strlen(name);
    while (*found == ' ' || *found == ':') found++;
    return strncmp(found, "true", 4) == 0;
}

static bool answer(int fd, const char *body, bool is_post) {
    Line *line = &lines[fd];
    if (!is_post) return tell(fd, models, models_length);
    if (!is_true(body, "\"stream\"")) return tell(fd, plain, plain_length);
    line->total = line->left = (int)number(body, "\"max_tokens\"", 16);
    if (line->total < 1) return false;
    line->pace = (uint64_t)number(body, "\"seed\"", 0) * 1000u;
    line->wants_usage = is_true(body, "\"include_usage\"");
    line->streaming = true;
    line->due = now();
    return step(fd, line->due);
}

/* Answer a request that is there as a whole; false where the connection is of no more use. */
static bool consider(int fd) {
    Line *line = &lines[fd];
    line->in[line->in_length] = 0;
    char *body = strstr(line->in, "\r\n\r\n");
    if (!body) return line->in_length < HEAD_BYTES;
    body += 4;
    const char *found = strcasestr(line->in, "\r\ncontent-length:");
    size_t length = found && found < body ? (size_t)strtol(found + 17, NULL, 10) : 0;
    size_t whole = (size_t)(body - line->in) + length;
    if (line->in_length < whole) {
        if (whole + 1 > line->in_size) {
            line->in = realloc(line->in, whole + 1);
            line->in_size = whole + 1;
        }
        return true;
    }
    line->in_length = 0;
    return answer(fd, body, line->in[0] == 'P');
}

static bool receive(int fd) {
    Line *line = &lines[fd];
    if (line->in_length + 1 >= line->in_size) return false;
    ssize_t got = recv(fd, line->in + line->in_length, line->in_size - line->in_length - 1, 0);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    line->in_length += (size_t)got;
    return line->streaming || consider(fd);
}

static bool resume(int fd) {
    Line *line = &lines[fd];
    char rest[OUT_BYTES];
    size_t length = line->out_length;
    memcpy(rest, line->out, length);
    line->out_length = 0;
    watch(fd, EPOLLIN);
    if (!tell(fd, rest, length)) return false;
    if (!line->out_length && line->streaming) schedule(fd);
    return true;
}

static void welcome(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    if (fd >= MAX_FD) {
        close(fd);
        return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    lines[fd] = (Line){.open = true, .place = -1, .in_size = HEAD_BYTES, .in = malloc(HEAD_BYTES)};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static void prepare(void) {
    char body[PLAIN_BYTES + 1];
    int length = sprintf(body, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"m\",\"choices\":"
                               "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
    const char *end = "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":20,\"total_tokens\":40}}";
    while (length + (int)strlen(end) < PLAIN_BYTES) body[length] = length % 6 ? 'w' : ' ', length++;
    strcpy(body + length, end);
    plain_length = (size_t)sprintf(plain, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                                   PLAIN_BYTES, body);
    const char *list = "{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"mock\"}]}";
    models_length = (size_t)sprintf(models, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                                    strlen(list), list);
}

static int listen_anywhere(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 2048)) {
        perror("mock");
        exit(1);
    }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static int wait_for(struct epoll_event *events) {
    if (!heap_length) return epoll_wait(poller, events, EVENTS, -1);
    uint64_t due = lines[heap[0]].due, time = now(), left = due > time ? due - time : 0;
    struct timespec limit = {.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
    return epoll_pwait2(poller, events, EVENTS, &limit, NULL);
}

int main(void) {
    prepare();
    poller = epoll_create1(0);
    int listener = listen_anywhere();
    struct epoll_event first = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &first);
    for (;;) {
        int count = wait_for(events);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) welcome(listener);
            else if (((events[i].events & EPOLLOUT) && !resume(fd)) || ((events[i].events & ~(uint32_t)EPOLLOUT) && !receive(fd)))
                hang_up(fd);
        }
        uint64_t time = now();
        while (heap_length && lines[heap[0]].due <= time) {
            int fd = heap[0];
            if (!step(fd, now())) hang_up(fd);
        }
    }
}
