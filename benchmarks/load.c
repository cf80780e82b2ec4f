/*
 * Load for a relay: N pairs of TCP connections through it, and bytes between the two of each pair.
 *
 *     cc -O2 -o load benchmarks/load.c
 *     ./load --kind rdv --relay 8080 --pairs 100 --mode oneway --watch $(pidof rdv)
 *     ./load --kind tcp --relay 9000 --backend 9001 --pairs 1 --mode pingpong --size 64
 *
 * One thread, epoll, 127.0.0.1 only, Linux. It prints one line of JSON and ends with 0; or it says
 * on stderr what went wrong and ends with 1. What does not move for ten seconds is stuck.
 *
 * Kinds of relay, and how a pair comes to be:
 *   rdv      two connections, DIAL and ACCEPT with a token of their own; 101, HELLO, CONFIRM
 *   transit  two connections to magic-wormhole-transit-relay, "please relay", "ok"
 *   tcp      a connection to the relay, which connects to --backend, where this program listens;
 *            the first 8 bytes tell which pair it is
 * The first side of a pair is the dialer, or the one that connects; the other is the second.
 *
 * Modes:
 *   oneway   the first sides send as much as they can, the second sides throw it away
 *   both     all sides do both
 *   pingpong a message of --size bytes there and back, one under way in each pair
 *   idle     nothing: prints "ready" and waits for a line on stdin; then, with --mib, moves so many
 *            MiB each way through one pair after the other, prints "done", and waits again
 *   rendezvous  (rdv) pairs that close as soon as HELLO has arrived; --at-once of them at any time
 *
 * With --receive copy, what is thrown away is copied out of the kernel first, as a program would.
 * With --bytes, oneway and both are no measurement but a check: every sender sends exactly so many
 * bytes, in pieces of random size, and the end of the stream; every receiver compares each byte.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 10.0        /* seconds without any progress after which the relay is stuck */
#define STDIN_PATIENCE 300   /* seconds that "idle" waits for a line */
#define DISCARD (4 << 20)    /* most bytes that one recv() throws away */
#define LISTENER UINT64_MAX  /* what epoll says of the backend's listener, ... */
#define ARRIVED (1ULL << 62) /* ... and of a connection to it that has not said its pair yet */
#define EVENTS 256

enum kind { RDV, TRANSIT, TCP };
enum mode { ONEWAY, BOTH, PINGPONG, IDLE, RENDEZVOUS };
enum state { OPENING, HEAD, LINE, READY, LEAVING };

struct end { /* one end of a pair; ends[2 * pair + side] */
    int fd;
    uint8_t state;
    bool said_all, heard_all;
    uint64_t sent, received, base; /* base: received when the measuring began */
    uint64_t begun;                /* ns; when the message under way was sent */
    uint64_t token;                /* no two pairs have the same */
};

static enum kind kind = RDV;
static enum mode mode = ONEWAY;
static int relay_port, backend_port, backend_fd = -1;
static const char *path = "/rdv";
static int pairs = 1, at_once = 24;
static double warmup = 1.0, measured = 2.0;
static size_t message = 64, chunk = 256 << 10;
static uint64_t exactly, push_mib;
static pid_t watched;
static bool from_file, copies;

static struct end *ends;
static int poller, begun_pairs, ready_pairs, memory_file;
static char *buffer, *expected, *void_space;
static double last_progress;

/* ---- small things ------------------------------------------------------------------------- */

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static double now(void) { return now_ns() / 1e9; }

static double own_cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static uint64_t random_state;

static size_t random_size(size_t most) { return mix(random_state++) % most + 1; }

/* ---- CPU time of the relay: all its threads and, with forks, all its children --------------- */

static double cpu_of_threads(pid_t pid)
{
    char name[64], text[256];
    double total = 0;
    snprintf(name, sizeof name, "/proc/%d/task", pid);
    DIR *folder = opendir(name);
    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        unsigned long long ran;
        snprintf(name, sizeof name, "/proc/%d/task/%.20s/schedstat", pid, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(name, "r");
        if (!file)
            continue;
        if (fgets(text, sizeof text, file) && sscanf(text, "%llu", &ran) == 1)
            total += ran / 1e9; /* ns; /proc/PID/stat has ticks of 10 ms only */
        fclose(file);
    }
    closedir(folder);
    return total;
}

/* Its parent's pid; adds to *reaped the seconds of its children that have ended. */
static pid_t parent_of(pid_t pid, double *reaped)
{
    char name[64], text[1024];
    int parent = 0;
    long user, system;
    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    FILE *file = fopen(name, "r");
    if (!file)
        return 0;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    char *rest = strrchr(text, ')');
    if (rest && sscanf(rest, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %ld %ld", &parent,
                       &user, &system) == 3 && reaped)
        *reaped += (double)(user + system) / sysconf(_SC_CLK_TCK);
    return parent;
}

static double relay_cpu(void)
{
    double total = 0;
    if (!watched)
        return 0;
    total = cpu_of_threads(watched);
    parent_of(watched, &total);
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        pid_t pid = atoi(entry->d_name);
        for (pid_t above = pid; above > 1 && pid != watched;) {
            above = parent_of(above, NULL);
            if (above == watched) {
                total += cpu_of_threads(pid);
                parent_of(pid, &total);
            }
        }
    }
    if (folder)
        closedir(folder);
    return total;
}

/* ---- sockets and events --------------------------------------------------------------------- */

static void watch(int how, int fd, uint32_t events, uint64_t what)
{
    struct epoll_event event = {.events = events, .data.u64 = what};
    if (epoll_ctl(poller, how, fd, &event))
        die("epoll_ctl: %m");
}

static uint64_t index_of(struct end *end) { return end - ends; }
static struct end *other_of(struct end *end) { return ends + (index_of(end) ^ 1); }

static void set_events(struct end *end, uint32_t events)
{
    watch(EPOLL_CTL_MOD, end->fd, events, index_of(end));
}

static void no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* A connection that is being opened, from one of many addresses: each has 28,000 ports only. */
static void open_end(uint64_t index)
{
    static unsigned connections;
    int on = 1;
    struct end *end = ends + index;
    struct sockaddr_in source = {.sin_family = AF_INET}, relay = source;
    source.sin_addr.s_addr = htonl(0x7f000101 + connections++ % 254); /* 127.0.1.1 to .254 */
    relay.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    relay.sin_port = htons(relay_port);
    *end = (struct end){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (end->fd < 0)
        die("socket: %m");
    no_delay(end->fd);
    setsockopt(end->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(end->fd, (struct sockaddr *)&source, sizeof source))
        die("bind: %m");
    if (connect(end->fd, (struct sockaddr *)&relay, sizeof relay) && errno != EINPROGRESS)
        die("connect: %m");
    watch(EPOLL_CTL_ADD, end->fd, EPOLLOUT, index);
}

static void send_whole(struct end *end, const char *data, size_t length)
{
    ssize_t sent = send(end->fd, data, length, MSG_NOSIGNAL);
    if (sent != (ssize_t)length)
        die("pair %d: a short message was not sent at once: %s", (int)index_of(end) / 2,
            sent < 0 ? strerror(errno) : "partly");
}

static int wait_for_events(struct epoll_event *events, double until)
{
    double left = until - now();
    int number = epoll_wait(poller, events, EVENTS, left < 0 ? 0 : left > 0.1 ? 100 : left * 1e3);
    if (number < 0 && errno != EINTR)
        die("epoll_wait: %m");
    return number < 0 ? 0 : number;
}

static void check_progress(const char *doing)
{
    if (now() - last_progress > PATIENCE)
        die("nothing moved for %.0f s while %s (%d of %d pairs ready)", PATIENCE, doing,
            ready_pairs, pairs);
}

/* ---- how a pair comes to be ----------------------------------------------------------------- */

static bool is_acceptor(struct end *end) { return index_of(end) & 1; }

static int token_of(struct end *end, char *text, int digits)
{
    return sprintf(text, "%0*llx%016llx", digits - 16, (unsigned long long)getpid(),
                   (unsigned long long)end->token);
}

static int hello_of(struct end *end, char *text)
{
    char token[80];
    token_of(end, token, 32);
    return sprintf(text, "rdv/1 HELLO %s\r\n", token);
}

static void send_first(struct end *end)
{
    char text[1024], token[80];
    uint64_t pair = index_of(end) / 2;
    int high = end->token >> 8 & 255, low = end->token & 255, length;
    if (kind == TCP) {
        send_whole(end, (char *)&pair, sizeof pair);
        end->state = READY;
        return;
    }
    if (kind == RDV) {
        token_of(end, token, 32);
        length = sprintf(text,
            "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: upgrade\r\nUpgrade: rdv/1\r\n"
            "Rdv-Token: %s\r\nRdv-Self-Addrs: 192.168.%d.%d:39841, 10.0.%d.%d:39841, "
            "[2001:db8::%x:%x]:39841\r\n\r\n",
            is_acceptor(end) ? "ACCEPT" : "DIAL", path, relay_port, token, high, low, high, low,
            high, low);
    } else {
        token_of(end, token, 64);
        length = sprintf(text, "please relay %s for side %016d\n", token, is_acceptor(end));
    }
    send_whole(end, text, length);
    end->begun = now_ns();
    end->state = kind == RDV ? HEAD : LINE;
}

/*
 * Take a head or a line off the stream, and not a byte more.
 * wanted: the whole line, or NULL for the head of a 101.
 */
static bool take(struct end *end, const char *wanted)
{
    char text[2048];
    ssize_t length = recv(end->fd, text, sizeof text - 1, MSG_PEEK | MSG_DONTWAIT);
    if (length < 0 && errno == EAGAIN)
        return false;
    if (length <= 0)
        die("pair %d: the relay has closed during the handshake", (int)index_of(end) / 2);
    text[length] = 0;
    const char *start = wanted ? wanted : "HTTP/1.1 101 ";
    size_t known = strlen(start) < (size_t)length ? strlen(start) : (size_t)length;
    if (memcmp(text, start, known))
        die("pair %d: the relay said: %.200s", (int)index_of(end) / 2, text);
    char *stop = wanted ? (size_t)length < strlen(wanted) ? NULL : text + strlen(wanted)
                        : strstr(text, "\r\n\r\n");
    if (!stop)
        return false;
    stop += wanted ? 0 : 4;
    return recv(end->fd, text, stop - text, 0) == stop - text;
}

static void begin_pair(int pair)
{
    static uint64_t tokens;
    open_end(2 * pair);
    ends[2 * pair + 1].fd = -1;
    if (kind != TCP)
        open_end(2 * pair + 1);
    ends[2 * pair].token = ends[2 * pair + 1].token = tokens++;
}

static void begin_next(void)
{
    if (begun_pairs < pairs)
        begin_pair(begun_pairs++);
}

static void set_ready(struct end *end)
{
    end->state = READY;
    set_events(end, 0); /* a reset is still reported */
    if (other_of(end)->fd >= 0 && other_of(end)->state == READY) {
        ready_pairs++;
        begin_next();
    }
}

/* One more step of a connection's handshake. */
static void shake_hands(struct end *end)
{
    char token[80], hello[128], confirm[128];
    int failure = 0;
    socklen_t size = sizeof failure;
    if (end->state == OPENING) {
        if (getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &failure, &size) || failure)
            die("cannot connect to the relay: %s", strerror(failure));
        send_first(end);
        if (end->state == READY)
            set_ready(end);
        else
            set_events(end, EPOLLIN);
        return;
    }
    if (kind == TRANSIT) {
        if (take(end, "ok\n"))
            set_ready(end);
        return;
    }
    token_of(end, token, 32);
    hello_of(end, hello);
    sprintf(confirm, "rdv/1 CONFIRM %s\r\n", token);
    if (end->state == HEAD && take(end, NULL)) {
        end->state = LINE;
        if (is_acceptor(end))
            send_whole(end, hello, strlen(hello));
    }
    if (end->state == LINE && take(end, is_acceptor(end) ? confirm : hello)) {
        if (!is_acceptor(end))
            send_whole(end, confirm, strlen(confirm));
        set_ready(end);
    }
}

static void accept_backend(void)
{
    int fd;
    while ((fd = accept4(backend_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        no_delay(fd);
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, ARRIVED | fd);
    }
    if (errno != EAGAIN)
        die("accept: %m");
}

/* A connection that the relay has opened says which pair it belongs to. */
static void identify(int fd)
{
    uint64_t pair;
    ssize_t length = recv(fd, &pair, sizeof pair, MSG_PEEK);
    if (length > 0 && length < (ssize_t)sizeof pair)
        return;
    if (length != sizeof pair || recv(fd, &pair, sizeof pair, 0) != sizeof pair)
        die("a connection from the relay ended before it said its pair");
    if (pair >= (uint64_t)begun_pairs || ends[2 * pair + 1].fd >= 0)
        die("a connection from the relay said a wrong pair");
    struct end *end = ends + 2 * pair + 1;
    *end = (struct end){.fd = fd};
    set_ready(end);
}

static void listen_backend(void)
{
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(backend_port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (backend_fd < 0) {
        backend_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(backend_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(backend_fd, (struct sockaddr *)&address, sizeof address))
            die("backend port %d: %m", backend_port);
    }
    if (listen(backend_fd, 4096) || fcntl(backend_fd, F_SETFL, O_NONBLOCK))
        die("the backend's listener: %m");
    watch(EPOLL_CTL_ADD, backend_fd, EPOLLIN, LISTENER);
}

static double set_up(void)
{
    struct epoll_event events[EVENTS];
    double begun = last_progress = now();
    if (kind == TCP)
        listen_backend();
    for (int i = 0; i < at_once; i++)
        begin_next();
    while (ready_pairs < pairs) {
        int number = wait_for_events(events, begun + 1e6);
        if (number)
            last_progress = now();
        check_progress("pairs were set up");
        for (int i = 0; i < number; i++) {
            uint64_t what = events[i].data.u64;
            if (what == LISTENER)
                accept_backend();
            else if (what & ARRIVED)
                identify(what & INT_MAX);
            else if (ends[what].state == READY)
                die("pair %d was closed while others were set up", (int)what / 2);
            else
                shake_hands(ends + what);
        }
    }
    if (kind == TCP)
        watch(EPOLL_CTL_DEL, backend_fd, 0, 0);
    return now() - begun;
}

/* ---- the JSON report ------------------------------------------------------------------------ */

static void report_begin(double setup)
{
    static const char *kinds[] = {"rdv", "transit", "tcp"};
    static const char *modes[] = {"oneway", "both", "pingpong", "idle", "rendezvous"};
    printf("{\"kind\": \"%s\", \"mode\": \"%s\", \"pairs\": %d, \"setup_seconds\": %.3f",
           kinds[kind], modes[mode], pairs, setup);
}

static void report_cpu(double seconds, double own, double relay, double units, const char *unit)
{
    printf(", \"seconds\": %.6f, \"generator_cpu\": %.6f, \"generator_cpu_per_%s\": %.9f", seconds,
           own, unit, units ? own / units : 0);
    if (watched)
        printf(", \"relay_cpu\": %.6f, \"relay_cpu_per_%s\": %.9f", relay, unit,
               units ? relay / units : 0);
}

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static struct { uint32_t *ns; size_t number, room; } latencies;

static void add_latency(uint64_t ns)
{
    if (latencies.number == latencies.room) {
        latencies.room = latencies.room ? 2 * latencies.room : 65536;
        latencies.ns = realloc(latencies.ns, latencies.room * sizeof *latencies.ns);
        if (!latencies.ns)
            die("no memory");
    }
    latencies.ns[latencies.number++] = ns > UINT32_MAX ? UINT32_MAX : ns;
}

static double latency(double percent)
{
    size_t rank = latencies.number * percent / 100;
    return latencies.number ? latencies.ns[rank < latencies.number ? rank : rank - 1] / 1e3 : 0;
}

static void report_latencies(void)
{
    qsort(latencies.ns, latencies.number, sizeof *latencies.ns, compare);
    printf(", \"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f", latency(50), latency(99),
           latency(100));
}

/* The pair that got least, and the mean, in bytes or messages since the measuring began. */
static void report_fairness(void)
{
    uint64_t worst = UINT64_MAX, total = 0;
    for (int i = 0; i < pairs; i++) {
        uint64_t bytes = 0;
        for (int side = 0; side < 2; side++)
            bytes += ends[2 * i + side].received - ends[2 * i + side].base;
        worst = bytes < worst ? bytes : worst;
        total += bytes;
    }
    double mean = (double)total / pairs;
    printf(", \"worst\": %llu, \"mean\": %.1f, \"fairness\": %.4f", (unsigned long long)worst, mean,
           mean ? worst / mean : 0);
}

/* Discard data in transit, which would keep the kernel and the relay busy for a while. */
static void reset_all(void)
{
    struct linger at_once = {.l_onoff = 1};
    for (int i = 0; i < 2 * pairs; i++) {
        setsockopt(ends[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(ends[i].fd);
    }
}

/* ---- flood: oneway and both ----------------------------------------------------------------- */

/* A connection has ended too early. result: of the call that reported it, or 0. */
static void lost(struct end *end, ssize_t result)
{
    int failure = result < 0 ? errno : 0;
    socklen_t size = sizeof failure;
    if (!failure)
        getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    die("pair %d: the %s side lost its connection: %s", (int)index_of(end) / 2,
        is_acceptor(end) ? "second" : "first", failure ? strerror(failure) : "closed");
}

static void flood_event(struct end *end, uint32_t happened)
{
    if (happened & EPOLLIN) {
        /* Thrown away without a copy; should the kernel copy, the empty mapping would tell. */
        ssize_t got = copies ? recv(end->fd, expected, chunk, 0)
                             : recv(end->fd, void_space, DISCARD, MSG_TRUNC);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            lost(end, got);
        if (got > 0)
            end->received += got;
    }
    if (happened & EPOLLOUT) {
        off_t start = 0;
        ssize_t sent = from_file ? sendfile(end->fd, memory_file, &start, chunk)
                                 : send(end->fd, buffer, chunk, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            lost(end, sent);
        if (sent > 0)
            end->sent += sent;
    }
    if (happened & (EPOLLERR | EPOLLHUP))
        lost(end, 0);
}

static uint64_t all_received(int side)
{
    uint64_t total = 0;
    for (int i = 0; i < pairs; i++)
        total += ends[2 * i + side].received - ends[2 * i + side].base;
    return total;
}

/* Handle events for this time; *seconds: the actual time. */
static void run_for(double duration, void (*handle)(struct end *, uint32_t), double *seconds)
{
    struct epoll_event events[EVENTS];
    double begun = now(), seen = last_progress = begun;
    uint64_t before = 0;
    for (;;) {
        int number = wait_for_events(events, begun + duration);
        for (int i = 0; i < number; i++)
            handle(ends + events[i].data.u64, events[i].events);
        double time = now();
        if (time - seen > 0.5) { /* checking all pairs takes time */
            uint64_t total = all_received(0) + all_received(1);
            seen = time;
            if (total != before)
                last_progress = time;
            before = total;
            check_progress("bytes were sent");
        }
        *seconds = time - begun;
        if (*seconds >= duration)
            return;
    }
}

static void start_measuring(void)
{
    for (int i = 0; i < 2 * pairs; i++)
        ends[i].base = ends[i].received;
    latencies.number = 0;
}

static void flood(double setup)
{
    double seconds;
    for (int i = 0; i < 2 * pairs; i++)
        set_events(ends + i, mode == BOTH ? EPOLLIN | EPOLLOUT : i & 1 ? EPOLLIN : EPOLLOUT);
    run_for(warmup, flood_event, &seconds);
    start_measuring();
    double relay = relay_cpu(), own = own_cpu();
    run_for(measured, flood_event, &seconds);
    own = own_cpu() - own, relay = relay_cpu() - relay;
    double there = all_received(1), back = all_received(0), gb = (there + back) / 1e9;
    if (!gb)
        die("nothing arrived");
    report_begin(setup);
    printf(", \"bytes_there\": %.0f, \"bytes_back\": %.0f, \"gb_per_second\": %.4f", there, back,
           gb / seconds);
    report_cpu(seconds, own, relay, gb, "gb");
    report_fairness();
    puts("}");
}

/* ---- ping-pong ------------------------------------------------------------------------------ */

static void ping(struct end *end)
{
    end->begun = now_ns();
    send_whole(end, buffer, message);
}

static void pong_event(struct end *end, uint32_t happened)
{
    if (happened & EPOLLIN) {
        ssize_t got = recv(end->fd, expected, message - end->received % message, 0);
        if (got <= 0)
            lost(end, got);
        end->received += got;
        if (end->received % message)
            return;
        if (is_acceptor(end)) {
            send_whole(end, buffer, message);
        } else {
            add_latency(now_ns() - end->begun);
            ping(end);
        }
    } else if (happened & (EPOLLERR | EPOLLHUP)) {
        lost(end, 0);
    }
}

static void pingpong(double setup)
{
    double seconds;
    for (int i = 0; i < 2 * pairs; i++)
        set_events(ends + i, EPOLLIN);
    for (int i = 0; i < pairs; i++)
        ping(ends + 2 * i);
    run_for(warmup, pong_event, &seconds);
    start_measuring();
    double relay = relay_cpu(), own = own_cpu();
    run_for(measured, pong_event, &seconds);
    own = own_cpu() - own, relay = relay_cpu() - relay;
    double messages = 2.0 * latencies.number;
    if (!messages)
        die("no message came back");
    report_begin(setup);
    printf(", \"size\": %zu, \"messages_per_second\": %.1f", message, messages / seconds);
    report_cpu(seconds, own, relay, messages, "message");
    report_latencies();
    report_fairness();
    puts("}");
}

/* ---- idle ----------------------------------------------------------------------------------- */

static void await_line(const char *say)
{
    char byte = 0;
    struct pollfd in = {.fd = 0, .events = POLLIN};
    puts(say);
    fflush(stdout);
    while (byte != '\n') {
        if (poll(&in, 1, STDIN_PATIENCE * 1000) <= 0)
            die("no line on stdin for %d s", STDIN_PATIENCE);
        if (read(0, &byte, 1) <= 0)
            return;
    }
}

static void push(struct end *from, uint64_t bytes)
{
    struct end *to = other_of(from);
    uint64_t sent = 0, received = 0;
    while (received < bytes) {
        struct pollfd both[] = {{.fd = to->fd, .events = POLLIN},
                                {.fd = from->fd, .events = sent < bytes ? POLLOUT : 0}};
        if (poll(both, 2, PATIENCE * 1000) <= 0)
            die("pair %d: nothing moved for %.0f s", (int)index_of(from) / 2, PATIENCE);
        ssize_t got = recv(to->fd, void_space, DISCARD, MSG_TRUNC | MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            lost(to, got);
        received += got > 0 ? got : 0;
        size_t next = bytes - sent < chunk ? bytes - sent : chunk;
        ssize_t put = next ? send(from->fd, buffer, next, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        if (put < 0 && errno != EAGAIN)
            lost(from, put);
        sent += put > 0 ? put : 0;
    }
    from->sent += sent, to->received += received;
}

static void idle(double setup)
{
    await_line("ready");
    if (push_mib) {
        for (int i = 0; i < 2 * pairs; i++)
            push(ends + i, push_mib << 20);
        await_line("done");
    }
    for (int i = 0; i < 2 * pairs; i++) {
        char byte;
        if (recv(ends[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)
            lost(ends + i, 0);
    }
    report_begin(setup);
    printf(", \"bytes_there\": %.0f, \"bytes_back\": %.0f}\n", (double)all_received(1),
           (double)all_received(0));
}

/* ---- exactly so many bytes, each of them compared -------------------------------------------- */

/* The bytes that a side sends from a position on: every 8 of them tell pair, side and position. */
static void fill(char *bytes, uint64_t stream, uint64_t position, size_t length)
{
    for (size_t done = 0; done < length;) {
        uint64_t word = mix(mix(stream) + (position + done) / 8);
        size_t skip = (position + done) % 8, part = 8 - skip;
        part = part < length - done ? part : length - done;
        memcpy(bytes + done, (char *)&word + skip, part);
        done += part;
    }
}

static bool sends(struct end *end) { return mode == BOTH || !is_acceptor(end); }
static bool is_over(struct end *end) { return end->said_all && end->heard_all; }

static void say_some(struct end *end)
{
    uint64_t all = sends(end) ? exactly : 0;
    size_t length = random_size(chunk);
    length = length < all - end->sent ? length : all - end->sent;
    fill(buffer, index_of(end), end->sent, length);
    ssize_t sent = length ? send(end->fd, buffer, length, MSG_NOSIGNAL) : 0;
    if (sent < 0 && errno != EAGAIN)
        lost(end, sent);
    end->sent += sent > 0 ? sent : 0;
    if (end->sent == all) {
        end->said_all = true;
        if (shutdown(end->fd, SHUT_WR))
            lost(end, -1);
    }
}

static void hear_some(struct end *end)
{
    struct end *other = other_of(end);
    uint64_t all = sends(other) ? exactly : 0;
    ssize_t got = recv(end->fd, buffer, random_size(chunk), 0);
    if (got < 0 && errno != EAGAIN)
        lost(end, got);
    if (got < 0)
        return;
    if (got == 0) {
        end->heard_all = true;
        if (end->received != all)
            die("pair %d: %llu bytes of %llu arrived, then the end", (int)index_of(end) / 2,
                (unsigned long long)end->received, (unsigned long long)all);
        return;
    }
    fill(expected, index_of(other), end->received, got);
    for (ssize_t i = 0; i < got && memcmp(buffer, expected, got); i++)
        if (buffer[i] != expected[i])
            die("pair %d: the byte at %llu is wrong", (int)index_of(end) / 2,
                (unsigned long long)end->received + i);
    end->received += got;
    if (end->received > all)
        die("pair %d: more bytes than were sent", (int)index_of(end) / 2);
}

static void verify(double setup)
{
    struct epoll_event events[EVENTS];
    double begun = last_progress = now();
    int open_ends = 2 * pairs;
    /* Of oneway the second side answers the end with its own, as it comes: no half-close needed. */
    for (int i = 0; i < 2 * pairs; i++)
        set_events(ends + i, sends(ends + i) ? EPOLLIN | EPOLLOUT : EPOLLIN);
    while (open_ends) {
        int number = wait_for_events(events, begun + 1e6);
        if (number)
            last_progress = now();
        check_progress("bytes were compared");
        for (int i = 0; i < number; i++) {
            struct end *end = ends + events[i].data.u64;
            if (events[i].events & EPOLLERR)
                lost(end, 0);
            if (events[i].events & (EPOLLIN | EPOLLHUP) && !end->heard_all)
                hear_some(end);
            if (!end->said_all && (sends(end) ? events[i].events & EPOLLOUT : end->heard_all))
                say_some(end);
            set_events(end, (end->heard_all ? 0 : EPOLLIN) |
                            (end->said_all || !sends(end) ? 0 : EPOLLOUT));
            if (is_over(end)) {
                close(end->fd);
                open_ends--;
            }
        }
    }
    report_begin(setup);
    printf(", \"seconds\": %.3f, \"bytes_there\": %.0f, \"bytes_back\": %.0f, \"verified\": true}\n",
           now() - begun, (double)all_received(1), (double)all_received(0));
}

/* ---- many rendezvous ------------------------------------------------------------------------ */

static int met_pairs;

static void meet_next(int slot)
{
    if (begun_pairs < pairs) {
        begun_pairs++;
        begin_pair(slot);
    }
}

/* A dialer that has HELLO ends its direction; then each side closes when it hears the end. */
static void rendezvous_event(struct end *end, uint32_t happened)
{
    char byte, hello[128];
    if (end->state == OPENING) {
        shake_hands(end);
    } else if (end->state == LEAVING) {
        if (recv(end->fd, &byte, 1, 0) != 0)
            die("a pair was not closed in order: %m");
        close(end->fd);
        end->fd = -1;
        if (other_of(end)->fd < 0) {
            met_pairs++;
            meet_next(index_of(end) / 2);
        }
    } else {
        if (end->state == HEAD && take(end, NULL)) {
            end->state = LINE;
            if (is_acceptor(end)) {
                send_whole(end, hello, hello_of(end, hello));
                end->state = LEAVING;
            }
        }
        hello_of(end, hello);
        if (end->state == LINE && take(end, hello)) {
            uint64_t first = end->begun, second = other_of(end)->begun;
            add_latency(now_ns() - (first > second ? first : second));
            end->state = LEAVING;
            shutdown(end->fd, SHUT_WR);
        }
    }
    (void)happened;
}

/* Let this many pairs meet. */
static void meet(int number)
{
    struct epoll_event events[EVENTS];
    pairs = number, begun_pairs = met_pairs = 0, last_progress = now();
    for (int slot = 0; slot < at_once; slot++)
        meet_next(slot);
    while (met_pairs < number) {
        int happened = wait_for_events(events, now() + 1);
        if (happened)
            last_progress = now();
        ready_pairs = met_pairs;
        check_progress("pairs met");
        for (int i = 0; i < happened; i++)
            rendezvous_event(ends + events[i].data.u64, events[i].events);
    }
}

static void rendezvous(void)
{
    int number = pairs, warm = number / 10 > at_once ? number / 10 : at_once;
    double begun = now();
    meet(warm);
    latencies.number = 0;
    double start = now(), relay = relay_cpu(), own = own_cpu();
    meet(number);
    double seconds = now() - start;
    own = own_cpu() - own, relay = relay_cpu() - relay;
    report_begin(start - begun);
    printf(", \"at_once\": %d, \"pairs_per_second\": %.1f", at_once, pairs / seconds);
    report_cpu(seconds, own, relay, pairs, "pair");
    report_latencies();
    puts("}");
}

/* ---- the program ---------------------------------------------------------------------------- */

static int choice(const char *given, const char *const *names, const char *what)
{
    for (int i = 0; names[i]; i++)
        if (!strcmp(given, names[i]))
            return i;
    die("unknown %s: %s", what, given);
    return 0;
}

static double number(const char *text, double least, double most, const char *name)
{
    char *stop;
    double value = strtod(text, &stop);
    if (stop == text || *stop || !(value >= least && value <= most))
        die("--%s wants a number from %.0f to %.0f", name, least, most);
    return value;
}

static void read_options(int argc, char **argv)
{
    static const char *const kinds[] = {"rdv", "transit", "tcp", NULL};
    static const char *const modes[] = {"oneway", "both", "pingpong", "idle", "rendezvous", NULL};
    static const char *const senders[] = {"copy", "file", NULL};
    static const char *const receivers[] = {"discard", "copy", NULL};
    static const struct option options[] = {
        {"kind", 1, 0, 'k'}, {"relay", 1, 0, 'r'}, {"backend", 1, 0, 'b'},
        {"backend-fd", 1, 0, 'f'}, {"path", 1, 0, 'p'}, {"pairs", 1, 0, 'n'},
        {"at-once", 1, 0, 'a'}, {"mode", 1, 0, 'm'}, {"warmup", 1, 0, 'w'}, {"seconds", 1, 0, 's'},
        {"size", 1, 0, 'z'}, {"bytes", 1, 0, 'x'}, {"mib", 1, 0, 'i'}, {"watch", 1, 0, 'W'},
        {"send", 1, 0, 'S'}, {"receive", 1, 0, 'R'}, {"chunk", 1, 0, 'c'}, {0, 0, 0, 0}};
    int option, which;
    while ((option = getopt_long(argc, argv, "", options, &which)) != -1) {
        if (option == '?')
            exit(2);
        const char *name = options[which].name;
        switch (option) {
        case 'k': kind = choice(optarg, kinds, name); break;
        case 'm': mode = choice(optarg, modes, name); break;
        case 'S': from_file = choice(optarg, senders, name); break;
        case 'R': copies = choice(optarg, receivers, name); break;
        case 'p': path = optarg; break;
        case 'r': relay_port = number(optarg, 1, 65535, name); break;
        case 'b': backend_port = number(optarg, 1, 65535, name); break;
        case 'f': backend_fd = number(optarg, 0, 1e6, name); break;
        case 'n': pairs = number(optarg, 1, 1e6, name); break;
        case 'a': at_once = number(optarg, 1, 4096, name); break;
        case 'w': warmup = number(optarg, 0, 60, name); break;
        case 's': measured = number(optarg, 0.1, 300, name); break;
        case 'z': message = number(optarg, 1, 65536, name); break;
        case 'x': exactly = number(optarg, 1, 1e12, name); break;
        case 'i': push_mib = number(optarg, 0, 4096, name); break;
        case 'W': watched = number(optarg, 1, 1e9, name); break;
        case 'c': chunk = number(optarg, 1, DISCARD, name); break;
        }
    }
    if (optind < argc || !relay_port)
        die("wanted: --relay PORT and options; see the head of load.c");
    if (kind == TCP && !backend_port && backend_fd < 0)
        die("--kind tcp wants --backend PORT or --backend-fd FD");
    if (mode == RENDEZVOUS && kind != RDV)
        die("--mode rendezvous is for --kind rdv");
    if (strlen(path) > 200)
        die("the path is too long");
}

int main(int argc, char **argv)
{
    struct rlimit files;
    read_options(argc, argv);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    poller = epoll_create1(EPOLL_CLOEXEC);
    ends = calloc(2 * (size_t)(pairs > at_once ? pairs : at_once), sizeof *ends);
    size_t room = chunk > 65536 ? chunk : 65536;
    buffer = malloc(room), expected = malloc(room);
    void_space = mmap(NULL, DISCARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory_file = memfd_create("load", MFD_CLOEXEC);
    if (poller < 0 || !ends || !buffer || !expected || void_space == MAP_FAILED || memory_file < 0)
        die("no memory");
    fill(buffer, 0, 0, room);
    if (write(memory_file, buffer, room) != (ssize_t)room)
        die("memfd: %m");

    if (mode == RENDEZVOUS) {
        rendezvous();
        return 0;
    }
    double setup = set_up();
    if (mode == PINGPONG)
        pingpong(setup);
    else if (mode == IDLE)
        idle(setup);
    else if (exactly)
        verify(setup);
    else
        flood(setup);
    if (!exactly)
        reset_all();
    return 0;
}
