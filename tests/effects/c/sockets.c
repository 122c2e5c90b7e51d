/* Effects on peers: what they are told is noted there. The numbers of the ports are in the environment. */

static struct sockaddr_in on_port(const char *name)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    address.sin_port = htons(atoi(getenv(name)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static struct sockaddr_un on_path(const char *name)
{
    struct sockaddr_un address = { AF_UNIX, "" };
    snprintf(address.sun_path, sizeof address.sun_path, "../peer/%s", name);
    return address;
}

static int connected(int family, int type, const void *address, socklen_t length)
{
    int peer = socket(family, type, 0);
    must(peer >= 0 && connect(peer, address, length) == 0, "connect");
    return peer;
}

/* Says a line and gets one. */
static long talk(int peer, const char *verb, int i)
{
    char line[64];
    int length = snprintf(line, sizeof line, "%s %d\n", verb, i);
    must(send(peer, line, length, MSG_NOSIGNAL) == length, "send");
    long got = recv(peer, line, sizeof line, 0);
    must(got > 0, "an answer");
    return sum(line, got);
}

static long op_tcp(int i)
{
    struct sockaddr_in address = on_port("TCP_PORT");
    int peer = connected(AF_INET, SOCK_STREAM, &address, sizeof address);
    long found = talk(peer, "say", i);
    found += talk(peer, "say", i + 100);
    shutdown(peer, SHUT_WR);
    char rest[8];
    found = found * 10 + read(peer, rest, sizeof rest);
    close(peer);
    return found;
}

/* One that stays open. */
static long op_tcp_kept(int i)
{
    static int peer = -1;
    if (peer < 0) {
        struct sockaddr_in address = on_port("TCP_PORT");
        peer = connected(AF_INET, SOCK_STREAM, &address, sizeof address);
    }
    struct pollfd ready = { peer, POLLIN | POLLOUT, 0 };
    long found = poll(&ready, 1, 1000) * 10 + ready.revents;
    return found * 1000003 + talk(peer, "kept", i);
}

static long op_chance_of_a_peer(int i)
{
    struct sockaddr_in address = on_port("TCP_PORT");
    int peer = connected(AF_INET, SOCK_STREAM, &address, sizeof address);
    learnt[i] += talk(peer, "chance", i);
    close(peer);
    return 0;
}

/* The peer connects to us. */
static long op_called_back(int i)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *) &address, sizeof address);
    listen(listener, 3);
    getsockname(listener, (struct sockaddr *) &address, &length);
    struct sockaddr_in to = on_port("TCP_PORT");
    int peer = connected(AF_INET, SOCK_STREAM, &to, sizeof to);
    long found = talk(peer, "call", ntohs(address.sin_port));
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    char text[32];
    long got = recv(client, text, sizeof text, MSG_PEEK);
    got = got * 100 + recv(client, text, sizeof text, 0);
    found += talk(client, "accepted", i);
    close(client);
    close(listener);
    close(peer);
    return found * 10000 + got;
}

static long op_udp(int i)
{
    struct sockaddr_in address = on_port("UDP_PORT");
    int socket_ = socket(AF_INET, SOCK_DGRAM, 0);
    char text[64];
    long length = snprintf(text, sizeof text, "datagram %d", i), got;
    sendto(socket_, text, length, 0, (struct sockaddr *) &address, sizeof address);
    got = recvfrom(socket_, text, sizeof text, 0, NULL, NULL);
    must(connect(socket_, (struct sockaddr *) &address, sizeof address) == 0, "connect");
    got = got * 100 + talk(socket_, "connected", i);
    close(socket_);
    return got;
}

static long op_messages(int i)
{
    struct sockaddr_in address = on_port("UDP_PORT");
    int peer = connected(AF_INET, SOCK_DGRAM, &address, sizeof address);
    char first[32], second[32], answers[2][32];
    struct iovec out[2] = { { first, snprintf(first, 32, "many %d", i) }, { second, snprintf(second, 32, "more %d", i) } };
    struct mmsghdr both[2] = { { { .msg_iov = &out[0], .msg_iovlen = 1 }, 0 }, { { .msg_iov = &out[1], .msg_iovlen = 1 }, 0 } };
    long sent = sendmmsg(peer, both, 2, 0);
    struct iovec in[2] = { { answers[0], 32 }, { answers[1], 32 } };
    for (int k = 0; k < 2; k++)
        both[k] = (struct mmsghdr) { { .msg_iov = &in[k], .msg_iovlen = 1 }, 0 };
    long got = recvmmsg(peer, both, 2, MSG_WAITFORONE, NULL);
    if (got == 1)
        got += recvmmsg(peer, both + 1, 1, MSG_WAITFORONE, NULL);
    close(peer);
    return sent * 100000 + got * 10000 + sum(answers[1], both[1].msg_len);
}

static long op_unix_stream(int i)
{
    struct sockaddr_un address = on_path("stream");
    int peer = connected(AF_UNIX, SOCK_STREAM, &address, sizeof address);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(peer, &set);
    struct timeval none = { 0, 0 };
    long ready = select(peer + 1, &set, NULL, NULL, &none);
    long found = talk(peer, "say", i) + ready;
    struct iovec parts[2] = { { "wri", 3 }, { "ttev\n", 5 } };
    writev(peer, parts, 2);
    char text[32];
    found = found * 100 + read(peer, text, sizeof text);
    close(peer);
    return found;
}

static long op_unix_datagrams(int i)
{
    struct sockaddr_un address = on_path("datagrams"), own = { AF_UNIX, "" };
    snprintf(own.sun_path, sizeof own.sun_path, "../work/own%d", i);
    int socket_ = socket(AF_UNIX, SOCK_DGRAM, 0);
    must(bind(socket_, (struct sockaddr *) &own, sizeof own) == 0, "bind");
    must(connect(socket_, (struct sockaddr *) &address, sizeof address) == 0, "connect");
    long found = talk(socket_, "datagram", i);
    send(socket_, "nobody waits", 12, 0);
    found = found * 100 + recv(socket_, own.sun_path, sizeof own.sun_path, 0);
    close(socket_);
    return found * 10 + unlink(named("own", i));
}

static long op_packets(int i)
{
    struct sockaddr_un address = on_path("packets");
    int peer = connected(AF_UNIX, SOCK_SEQPACKET, &address, sizeof address);
    long found = talk(peer, "packet", i);
    found += talk(peer, "next", i);
    close(peer);
    return found;
}

static int take_over(int peer, char *text, size_t room, long *got)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec place = { text, room };
    struct msghdr message = { .msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    *got = recvmsg(peer, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    int file = -1;
    if (part && part->cmsg_type == SCM_RIGHTS)
        memcpy(&file, CMSG_DATA(part), sizeof file);
    return file;
}

static void hand_over(int peer, const char *text, int file)
{
    char control[CMSG_SPACE(sizeof(int))] = "";
    struct iovec place = { (char *) text, strlen(text) };
    struct msghdr message = { .msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &file, sizeof file);
    must(sendmsg(peer, &message, 0) > 0, "sendmsg");
}

/* A descriptor goes to the peer, which writes there. */
static long op_given_away(int i)
{
    struct sockaddr_un address = on_path("stream");
    int peer = connected(AF_UNIX, SOCK_STREAM, &address, sizeof address);
    int file = open(named("given", i), O_RDWR | O_CREAT | O_APPEND, 0644);
    write(file, "ours\n", 5);
    hand_over(peer, "take\n", file);
    char text[32];
    long got = read(peer, text, sizeof text);
    write(file, "ours again\n", 11);
    close(file);
    close(peer);
    return got * 10000000 + look(named("given", i)) % 10000000;
}

/* The peer gives us one. */
static long op_taken_over(int i)
{
    struct sockaddr_un address = on_path("stream");
    int peer = connected(AF_UNIX, SOCK_STREAM, &address, sizeof address);
    char text[32];
    long got, length = snprintf(text, sizeof text, "give taken%d\n", i);
    write(peer, text, length);
    int file = take_over(peer, text, sizeof text, &got);
    must(file >= 0, "a descriptor");
    write(file, "by us\n", 6);
    close(file);
    close(peer);
    return got * 10000000 + look(named("taken", i));
}

static long op_socket_pair(int i)
{
    int pair[2], file = -1;
    char text[32];
    long got;
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    write(pair[0], "to and", 6);
    write(pair[1], "fro", 3);
    got = read(pair[1], text, sizeof text) * 10;
    got += read(pair[0], text, sizeof text);
    int own = open(named("passed", i), O_WRONLY | O_CREAT, 0644);
    hand_over(pair[0], "one", own);
    close(own);
    long more;
    file = take_over(pair[1], text, sizeof text, &more);
    write(file, "passed", 6);
    close(file);
    shutdown(pair[0], SHUT_WR);
    got = got * 10 + read(pair[1], text, sizeof text);
    close(pair[0]);
    close(pair[1]);
    return got * 10 + more;
}

static long op_epoll(int i)
{
    struct sockaddr_un address = on_path("stream");
    int peer = connected(AF_UNIX, SOCK_STREAM, &address, sizeof address), set = epoll_create1(0);
    struct epoll_event event = { EPOLLIN, { .u32 = 17 } };
    epoll_ctl(set, EPOLL_CTL_ADD, peer, &event);
    long found = epoll_wait(set, &event, 1, 0);
    write(peer, "say epoll\n", 10);
    found = found * 10 + epoll_wait(set, &event, 1, 5000);
    char text[32];
    found = found * 100 + event.data.u32;
    found = found * 100 + read(peer, text, sizeof text);
    found = found * 10 + epoll_wait(set, &event, 1, 0);
    close(set);
    close(peer);
    put("polled", named("", i));
    return found;
}

static long op_refused(int i)
{
    struct sockaddr_un address = on_path("nobody");
    int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    long found = connect(peer, (struct sockaddr *) &address, sizeof address) == -1 ? errno : 0;
    found = found * 100 + (send(peer, "x", 1, MSG_NOSIGNAL) == -1 ? errno : 0) % 100;
    close(peer);
    put("refused", named("", i));
    return found;
}
