/*
 * A plain relay in C, to compare with: the performance of plain splice() calls.
 *
 *     cc -O2 -o splice benchmarks/splice.c
 *     ./splice 9001              every connection is passed on to 127.0.0.1:9001
 *     ./splice 9001 65536        with pipes of 64 KiB instead of 256 KiB
 *
 * It prints "LISTENING: 127.0.0.1:PORT" and runs until it is killed. One thread, level-triggered
 * epoll; each direction of a connection has a pipe, and bytes go socket -> pipe -> socket without
 * being copied. A direction reads only while its pipe is empty, and otherwise waits until its
 * bytes can be written; epoll is told when that changes, and only then. The end of a direction is
 * passed on when all its bytes are, and the other direction goes on. An error resets both sides.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

/* One side of a connection, with the direction that leads from it to the other side. */
struct side {
    struct side *other;
    int fd;
    int pipe[2];
    size_t held;     /* bytes in the pipe */
    bool ended;      /* nothing will come from fd any more */
    bool passed_on;  /* and the other side knows it */
    bool connecting; /* fd is not connected yet */
    bool dead;       /* closed, and freed after the events of this turn */
    unsigned events; /* what epoll was told */
    struct side *next_dead;
};

static int poller, backend_port, pipe_size = 256 << 10;
static struct side *dead;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* The events to watch on a side follow from the state of both directions. */
static void update(struct side *side)
{
    unsigned events = 0;
    if (side->connecting)
        events = EPOLLOUT;
    else if (!side->other->connecting) {
        events |= side->ended || side->held ? 0 : EPOLLIN;
        events |= side->other->held ? EPOLLOUT : 0;
    }
    if (events == side->events)
        return;
    /* Remove it while there is nothing to wait for: a hang-up would be reported repeatedly. */
    struct epoll_event event = {.events = events, .data.ptr = side};
    int how = !events ? EPOLL_CTL_DEL : side->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(poller, how, side->fd, &event))
        fail("epoll_ctl");
    side->events = events;
}

static void close_both(struct side *side, bool reset)
{
    struct linger at_once = {.l_onoff = 1};
    for (int i = 0; i < 2; i++, side = side->other) {
        if (reset)
            setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(side->fd);
        close(side->pipe[0]);
        close(side->pipe[1]);
        side->dead = true;
        side->next_dead = dead;
        dead = side;
    }
}

/* Write what is in the pipe. False: an error. */
static bool drain(struct side *side)
{
    while (side->held) {
        ssize_t moved = splice(side->pipe[0], NULL, side->other->fd, NULL, side->held,
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (moved <= 0)
            return moved < 0 && errno == EAGAIN;
        side->held -= moved;
    }
    if (side->ended && !side->passed_on) {
        side->passed_on = true;
        return shutdown(side->other->fd, SHUT_WR) == 0;
    }
    return true;
}

/* Read once, then write. False: an error. */
static bool forward(struct side *side)
{
    ssize_t moved = splice(side->fd, NULL, side->pipe[1], NULL, pipe_size,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved < 0)
        return errno == EAGAIN;
    side->held += moved;
    side->ended = moved == 0;
    return drain(side);
}

/* False: an error. */
static bool handle(struct side *side, unsigned happened)
{
    int failure = 0;
    socklen_t size = sizeof failure;
    if (side->connecting) {
        if (getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &failure, &size) || failure)
            return false;
        side->connecting = false;
    } else {
        if (happened & EPOLLERR)
            return false;
        if (happened & EPOLLOUT && !drain(side->other))
            return false;
        if (happened & (EPOLLIN | EPOLLHUP) && !side->held && !side->ended && !forward(side))
            return false;
    }
    if (side->passed_on && side->other->passed_on) {
        close_both(side, false);
    } else {
        update(side);
        update(side->other);
    }
    return true;
}

static void prepare(struct side *side)
{
    int on = 1;
    setsockopt(side->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (pipe2(side->pipe, O_NONBLOCK | O_CLOEXEC))
        fail("pipe");
    if (fcntl(side->pipe[0], F_SETPIPE_SZ, pipe_size) < 0)
        fail("F_SETPIPE_SZ");
}

static void accept_all(int listener)
{
    int fd;
    struct sockaddr_in backend = loopback(backend_port);
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct side *client = calloc(1, sizeof *client), *server = calloc(1, sizeof *server);
        if (!client || !server)
            fail("calloc");
        *client = (struct side){.other = server, .fd = fd};
        *server = (struct side){.other = client, .connecting = true};
        server->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (server->fd < 0)
            fail("socket");
        prepare(client);
        prepare(server);
        if (connect(server->fd, (struct sockaddr *)&backend, sizeof backend) &&
            errno != EINPROGRESS)
            close_both(client, true);
        else
            update(server);
    }
    if (errno != EAGAIN)
        fail("accept");
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    struct epoll_event events[EVENTS], listening = {.events = EPOLLIN};
    struct rlimit files;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: splice BACKEND_PORT [PIPE_BYTES]\n");
        return 2;
    }
    backend_port = atoi(argv[1]);
    pipe_size = argc > 2 ? atoi(argv[2]) : pipe_size;
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max; /* six descriptors for each connection */
    setrlimit(RLIMIT_NOFILE, &files);

    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &length) ||
        epoll_ctl(poller, EPOLL_CTL_ADD, listener, &listening))
        fail("listen");
    printf("LISTENING: 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    for (;;) {
        int number = epoll_wait(poller, events, EVENTS, -1);
        if (number < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < number; i++) {
            struct side *side = events[i].data.ptr;
            if (!side)
                accept_all(listener);
            else if (!side->dead && !handle(side, events[i].events))
                close_both(side, true);
        }
        while (dead) {
            struct side *next = dead->next_dead;
            free(dead);
            dead = next;
        }
    }
}
