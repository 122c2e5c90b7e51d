/* Effects on files and folders. */

static long op_append(int i)
{
    char line[32];
    snprintf(line, sizeof line, "line %d\n", i);
    put("log", line);
    put("log", line);
    return look("log");
}

static long op_pwrite(int i)
{
    int file = open("table", O_RDWR | O_CREAT, 0644);
    must(pwrite(file, "first", 5, 10 * i) == 5, "pwrite");
    must(pwrite(file, "!", 1, 10 * i + 5) == 1, "pwrite");
    char text[8] = "";
    long got = pread(file, text, 8, 10 * i);
    close(file);
    return got * 1000 + sum(text, got);
}

static long op_vectors(int i)
{
    struct iovec parts[2] = { { "one ", 4 }, { "two\n", 4 } };
    int file = open(named("vectors", i), O_RDWR | O_CREAT | O_TRUNC, 0644);
    long put = writev(file, parts, 2);
    put += pwritev(file, parts, 2, 20);
    char a[3], b[30];
    struct iovec places[2] = { { a, 3 }, { b, 30 } };
    long got = preadv(file, places, 2, 2);
    lseek(file, 1, SEEK_SET);
    got += readv(file, places, 2);
    close(file);
    return put * 100000 + got * 1000 + sum(b, 8) % 1000;
}

static long op_shared_offset(int i)
{
    int file = open(named("offset", i), O_RDWR | O_CREAT | O_TRUNC, 0644);
    int same = dup(file);
    write(file, "abc", 3);
    write(same, "def", 3);
    lseek(same, -4, SEEK_CUR);
    write(file, "X", 1);
    long at = lseek(same, 0, SEEK_CUR);
    close(same);
    write(file, "Y", 1);
    close(file);
    return at;
}

static long op_truncate(int i)
{
    const char *name = named("short", i);
    put(name, "a rather long text\n");
    truncate(name, 8);
    int file = open(name, O_RDWR);
    ftruncate(file, 4);
    ftruncate(file, 20);
    long end = lseek(file, 0, SEEK_END);
    write(file, "end", 3);
    close(file);
    return end + look(name);
}

static long op_rename(int i)
{
    put("from", "moved\n");
    must(rename("from", named("to", i)) == 0, "rename");
    put("left", "L");
    put("right", "R");
    must(renameat2(AT_FDCWD, "left", AT_FDCWD, "right", RENAME_EXCHANGE) == 0, "exchange");
    long found = look("left") * 3 + look("right");
    must(renameat2(AT_FDCWD, "left", AT_FDCWD, "right", RENAME_NOREPLACE) == -1, "no replacement");
    unlink("left");
    return found + look("from");
}

static long op_unlink(int i)
{
    const char *name = named("gone", i);
    put(name, "soon gone");
    int file = open(name, O_RDWR);
    must(unlink(name) == 0, "unlink");
    long again = unlink(name) == -1 ? errno : 0;
    write(file, "S", 1);
    char text[16];
    lseek(file, 0, SEEK_SET);
    long got = read(file, text, sizeof text);
    close(file);
    return again * 100 + got;
}

static long op_folders(int i)
{
    const char *name = named("folder", i);
    must(mkdir(name, 0755) == 0, "mkdir");
    long again = mkdir(name, 0755) == -1 ? errno : 0;
    int folder = open(name, O_RDONLY | O_DIRECTORY);
    must(mkdirat(folder, "inner", 0700) == 0, "mkdirat");
    must(mkdirat(folder, "removed", 0700) == 0, "mkdirat");
    int file = openat(folder, "file", O_WRONLY | O_CREAT | O_EXCL, 0600);
    write(file, "in it", 5);
    close(file);
    must(unlinkat(folder, "removed", AT_REMOVEDIR) == 0, "unlinkat");
    long kept = rmdir(name) == -1 ? errno : 0;
    close(folder);
    return again * 100 + kept;
}

static long op_links(int i)
{
    const char *name = named("link", i);
    char target[16];
    must(symlink("nowhere", name) == 0, "symlink");
    long length = readlink(name, target, sizeof target);
    put("linked", "x");
    must(link("linked", named("hard", i)) == 0, "link");
    put(named("hard", i), "y");
    struct stat found;
    stat("linked", &found);
    return length * 1000 + found.st_nlink * 100 + found.st_size;
}

static long op_modes(int i)
{
    const char *name = named("mode", i);
    put(name, "text");
    chmod(name, 0750);
    struct timespec times[2] = { { 1000, 0 }, { 2000 + i, 0 } };
    utimensat(AT_FDCWD, name, times, 0);
    struct stat found;
    stat(name, &found);
    umask(umask(077));
    return (found.st_mode & 07777) * 10000 + found.st_mtime;
}

static long op_sendfile(int i)
{
    put("source", "0123456789");
    int in = open("source", O_RDONLY), out = open(named("sent", i), O_WRONLY | O_CREAT, 0644);
    off_t from = 2;
    long sent = sendfile(out, in, &from, 5);
    sent = sent * 10 + sendfile(out, in, NULL, 3);
    long at = lseek(in, 0, SEEK_CUR);
    write(out, "|", 1);
    close(in);
    close(out);
    return sent * 100 + at * 10 + from;
}

static long op_copy_range(int i)
{
    put("origin", "copied text");
    int in = open("origin", O_RDONLY), out = open(named("copy", i), O_RDWR | O_CREAT, 0644);
    long done = copy_file_range(in, NULL, out, NULL, 6, 0);
    loff_t from = 0, to = 20;
    done = done * 100 + copy_file_range(in, &from, out, &to, 4, 0);
    write(out, "+", 1);
    close(in);
    close(out);
    return done + to;
}

static long op_mapped(int i)
{
    const char *name = named("mapped", i);
    int file = open(name, O_RDWR | O_CREAT, 0644);
    ftruncate(file, 4096);
    char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    must(memory != MAP_FAILED, "mmap");
    strcpy(memory, "written in memory");
    msync(memory, 4096, MS_SYNC);
    char text[32];
    long got = pread(file, text, 17, 0);
    memory[100] = 'x';
    long total = sum(text, got) + memory[100];
    munmap(memory, 4096);
    pwrite(file, "after", 5, 200);
    close(file);
    return total;
}

static long op_sync(int i)
{
    int file = open(named("synced", i), O_RDWR | O_CREAT, 0644);
    write(file, "a", 1);
    fsync(file);
    write(file, "b", 1);
    fdatasync(file);
    long done = sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
    done += posix_fallocate(file, 0, 16);
    close(file);
    return done;
}

static long op_locks(int i)
{
    int file = open("locked", O_RDWR | O_CREAT, 0644), other = open("locked", O_RDWR);
    long found = flock(file, LOCK_EX);
    found = found * 100 + (flock(other, LOCK_SH | LOCK_NB) == -1 ? errno : 0);
    flock(file, LOCK_UN);
    found = found * 100 + flock(other, LOCK_SH | LOCK_NB);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i, .l_len = 1 };
    found = found * 100 + fcntl(file, F_OFD_SETLK, &lock);
    found = found * 100 + (fcntl(other, F_OFD_SETLK, &lock) == -1 ? errno : 0);
    lock.l_type = F_UNLCK;
    fcntl(file, F_OFD_SETLK, &lock);
    lock.l_type = F_WRLCK;
    found = found * 100 + fcntl(file, F_SETLK, &lock);
    write(file, "L", 1);
    close(file);
    close(other);
    return found;
}

/* A stream that stays open, so that its offset is of the past. */
static long op_stream(int i)
{
    static FILE *stream;
    if (!stream)
        stream = fopen("stream", "w+");
    fprintf(stream, "entry %d of a stream\n", i);
    fflush(stream);
    return ftell(stream);
}

static long op_pipe(int i)
{
    int ends[2];
    char text[16];
    pipe2(ends, O_CLOEXEC);
    write(ends[1], "piped", 5);
    long got = read(ends[0], text, 2);
    got = got * 10 + read(ends[0], text, sizeof text);
    int file = open(named("spliced", i), O_WRONLY | O_CREAT, 0644);
    write(ends[1], "spliced", 7);
    got = got * 10 + splice(ends[0], NULL, file, NULL, 7, 0);
    close(ends[1]);
    got = got * 10 + read(ends[0], text, sizeof text);
    close(ends[0]);
    close(file);
    return got;
}

static long op_fifo(int i)
{
    const char *name = named("fifo", i);
    must(mkfifo(name, 0600) == 0, "mkfifo");
    int fifo = open(name, O_RDWR);
    write(fifo, "through", 7);
    char text[16];
    long got = read(fifo, text, sizeof text);
    close(fifo);
    return got * 10 + (mkfifo(name, 0600) == -1);
}

static long op_listing(int i)
{
    mkdir("listed", 0755);
    put(named("listed/a", i), "");
    FILE *names = popen("ls listed | wc -l", "r");
    int count = 0;
    fscanf(names, "%d", &count);
    pclose(names);
    put("listing", named("", count));
    return count;
}

static long op_chance(int i)
{
    char bytes[8];
    int file = open("/dev/urandom", O_RDONLY);
    read(file, bytes, sizeof bytes);
    close(file);
    learnt[i] += sum(bytes, sizeof bytes);
    learn(i);
    put("chances", ".");
    learn(i);
    return 0;
}

static long op_folder_changed(int i)
{
    char here[512];
    mkdir("below", 0755);
    chdir("below");
    put(named("deep", i), "deep");
    must(getcwd(here, sizeof here) != NULL, "getcwd");
    chdir("..");
    return strlen(strrchr(here, '/'));
}
