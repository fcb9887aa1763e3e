/* The functions of stdio and getopt that dumb-init calls: messages to standard error, "%d:%d", long options.
 * Linked before musl's archive, so that none of its stdio is linked: the program is a quarter of the size. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#undef stderr
FILE *const stderr = NULL;
char *optarg;
int optind = 1;

static void out(const char *text, size_t length) { (void)!write(2, text, length); }

/* dumb-init prints only %s, %d and %.*s. */
int fprintf(FILE *restrict stream, const char *restrict format, ...)
{
    va_list values;
    va_start(values, format);
    for (const char *at = format; *at;) {
        size_t plain = strcspn(at, "%");
        out(at, plain);
        at += plain;
        if (!*at)
            break;
        if (at[1] == 's') {
            const char *text = va_arg(values, const char *);
            out(text, strlen(text));
            at += 2;
        } else if (!strncmp(at, "%.*s", 4)) {
            int length = va_arg(values, int);
            out(va_arg(values, const char *), (size_t)length);
            at += 4;
        } else {
            char digits[12], *first = digits + sizeof digits;
            int value = va_arg(values, int);
            unsigned rest = value < 0 ? 0u - (unsigned)value : (unsigned)value;
            do
                *--first = (char)('0' + rest % 10);
            while (rest /= 10);
            if (value < 0)
                *--first = '-';
            out(first, (size_t)(digits + sizeof digits - first));
            at += 2;
        }
    }
    va_end(values);
    return 0;
}

/* Clang turns an fprintf without values into this call. */
size_t fwrite(const void *restrict text, size_t size, size_t count, FILE *restrict stream)
{
    out(text, size * count);
    return count;
}

/* "%d:%d" into two ints: numbers of signals, so below 1000 and without a sign. */
int sscanf(const char *restrict text, const char *restrict format, ...)
{
    va_list values;
    int found = 0;
    va_start(values, format);
    for (; found < 2; found++) {
        const char *first = text;
        int number = 0;
        for (; *text >= '0' && *text <= '9' && number < 1000; text++)
            number = number * 10 + *text - '0';
        if (text == first || (found == 0 && *text++ != ':'))
            break;
        *va_arg(values, int *) = number;
    }
    va_end(values);
    return found;
}

/* Options before the program's name only ("+"): -v, -cv, -r 1:2, -r1:2, --verbose, --rewrite 1:2, --rewrite=1:2. */
int getopt_long(int argc, char *const *argv, const char *letters, const struct option *names, int *index)
{
    static const char *next = "";
    if (!*next) {
        const char *word = optind < argc ? argv[optind] : NULL;
        if (!word || word[0] != '-' || !word[1])
            return -1;
        optind++;
        if (word[1] == '-' && !word[2])
            return -1;
        if (word[1] == '-') {
            size_t length = strcspn(word + 2, "=");
            for (; names->name; names++) {
                if (strncmp(names->name, word + 2, length) || names->name[length])
                    continue;
                optarg = word[2 + length] ? (char *)word + 3 + length : NULL;
                if (names->has_arg && !optarg)
                    optarg = optind < argc ? argv[optind++] : NULL;
                if (!names->has_arg == !optarg)
                    return names->val;
            }
            fprintf(stderr, "%s: unrecognized option: %s\n", argv[0], word + 2);
            return '?';
        }
        next = word + 1;
    }
    char letter = *next++;
    const char *known = strchr(letters, letter);
    if (known && letter != ':' && letter != '+') {
        if (known[1] != ':')
            return letter;
        optarg = *next ? (char *)next : optind < argc ? argv[optind++] : NULL;
        next = "";
        if (optarg)
            return letter;
    }
    char text[2] = {letter, 0};
    fprintf(stderr, "%s: unrecognized option: %s\n", argv[0], text);
    return '?';
}
