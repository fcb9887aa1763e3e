/* su-exec USER[:GROUP] PROGRAM [ARGUMENT...]: become that user, then execute that program. No shell, no child; of the
 * environment only HOME changes, where it is set. USER and GROUP are names in /etc/passwd and /etc/group, or numbers.
 * Without GROUP it is the user's own, or the same number for a number that has no line. The supplementary groups become
 * that one group.
 *
 * A process that is not root cannot become another user. Then the program is just started, so that the image runs with
 * any --user. When root may not change its user (all capabilities dropped), that is an error, because the program would
 * go on as root.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static char passwd[16384], group[16384], home[256] = "HOME=";

static void say(const char *text) { (void)!write(2, text, strlen(text)); }

static void fail(const char *what, int error)
{
    say("su-exec: ");
    say(what);
    say(error == EPERM ? ": not permitted (give CAP_SETUID and CAP_SETGID, or run with --user)\n"
        : error == ENOENT ? ": not found\n" : error == EACCES ? ": permission denied\n" : error ? ": failed\n" : "\n");
    _exit(error == ENOENT ? 127 : 126);
}

static void read_file(const char *name, char *into, size_t size)
{
    int file = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? 0 : read(file, into, size - 1);
    into[got > 0 ? got : 0] = 0;
    if (file >= 0)
        close(file);
}

/* Copies field `number` of the line whose field `key` is `value` (name:x:1:2...); returns 0 when no line matches. */
static int field(const char *text, int key, const char *value, int number, char *out, size_t size)
{
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        const char *start[8] = {text};
        size_t length[8] = {0};
        int fields = 0;
        for (const char *at = text; fields < 8; at = start[fields - 1] + length[fields - 1] + 1) {
            start[fields] = at;
            length[fields] = strcspn(at, ":\n");
            if (at[length[fields++]] != ':')
                break;
        }
        if (fields > key && fields > number && length[key] == strlen(value) && !memcmp(start[key], value, length[key])
            && length[number] < size) {
            memcpy(out, start[number], length[number]);
            out[length[number]] = 0;
            return 1;
        }
    }
    return 0;
}

/* The id of a name or number; an id that is no plain number below 2^32 - 1 is refused, because (uid_t)-1 means "no change". */
static unsigned id(const char *file, const char *text, const char *what)
{
    char number[16];
    if (field(file, 0, text, 2, number, sizeof number))
        text = number;
    unsigned long long value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && value < UINT_MAX; at++)
        value = value * 10 + (unsigned)(*at - '0');
    if (*at || at == text || value >= UINT_MAX)
        fail(what, 0);
    return (unsigned)value;
}

static void become(char *user)
{
    char *named = strchr(user, ':'), gid_text[16];
    if (named)
        *named++ = 0;
    read_file("/etc/passwd", passwd, sizeof passwd);
    read_file("/etc/group", group, sizeof group);
    unsigned uid = id(passwd, user, "no such user"), gid = uid;
    if (named)
        gid = id(group, named, "no such group");
    else if (field(passwd, 0, user, 3, gid_text, sizeof gid_text) || field(passwd, 2, user, 3, gid_text, sizeof gid_text))
        gid = id("", gid_text, "no such group");
    if (field(passwd, 0, user, 5, home + 5, sizeof home - 5) || field(passwd, 2, user, 5, home + 5, sizeof home - 5))
        for (char **word = environ; *word; word++)
            if (!strncmp(*word, "HOME=", 5))
                *word = home;
    gid_t only = gid;
    /* The system calls themselves, because the C library's functions also bring code for threads, and this program has one. */
    if (syscall(SYS_setgroups, 1, &only) || syscall(SYS_setgid, gid) || syscall(SYS_setuid, uid))
        fail(user, errno);
    if (uid && !syscall(SYS_setuid, 0))
        fail("could become root again", 0);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        say("usage: su-exec USER[:GROUP] PROGRAM [ARGUMENT...]\n");
        return 1;
    }
    if (!getuid())
        become(argv[1]);
    execvp(argv[2], argv + 2);
    fail(argv[2], errno);
}
