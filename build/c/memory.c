/* The compiler's and musl's functions for memory are built for size. Their memcpy and memcmp take one byte at a time, their memchr eight.
 * A third of a large message's time was spent in memcpy, and a twentieth of a small one's in memcmp and memchr. Here up to 128 bytes are
 * moved by overlapping vectors, which is right for overlapping blocks too, since all is loaded before anything is stored; more goes in a
 * loop or, from 2 KiB on, by `rep movsb` where the processor has it. It is used only where a vector may lie at any address. */
#if defined(__x86_64__) || defined(__aarch64__)
#include <stddef.h>
#include <stdint.h>

typedef long long block __attribute__((vector_size(16), aligned(1), may_alias));
typedef unsigned char bytes __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t eight __attribute__((aligned(1), may_alias));
typedef uint32_t four __attribute__((aligned(1), may_alias));
typedef uint16_t two __attribute__((aligned(1), may_alias));

#define AT(type, place) (*(type *)(place))
#define OF(type, place) (*(const type *)(place))
#define ENDS(type)                                                                        \
    do {                                                                                  \
        type first = OF(type, s), last = OF(type, s + n - sizeof(type));                  \
        AT(type, d) = first;                                                              \
        AT(type, d + n - sizeof(type)) = last;                                            \
        return to;                                                                        \
    } while (0)

void *memmove(void *to, const void *from, size_t n)
{
    char *d = to;
    const char *s = from;

    if (n <= 16) {
        if (n >= 8)
            ENDS(eight);
        if (n >= 4)
            ENDS(four);
        if (n >= 2)
            ENDS(two);
        if (n)
            *d = *s;
        return to;
    }
    if (n <= 32)
        ENDS(block);
    if (n <= 64) {
        block a = OF(block, s), b = OF(block, s + 16), c = OF(block, s + n - 32), e = OF(block, s + n - 16);
        AT(block, d) = a, AT(block, d + 16) = b, AT(block, d + n - 32) = c, AT(block, d + n - 16) = e;
        return to;
    }
    if ((uintptr_t)d - (uintptr_t)s >= n) { /* a forward copy overwrites nothing that it has yet to read */
        block end = OF(block, s + n - 16);
        char *stop = d + n - 16;
#if defined(__x86_64__)
        if (n >= 2048 && (uintptr_t)s - (uintptr_t)d >= 64) {
            void *out = d;
            __asm__ volatile("rep movsb" : "+D"(out), "+S"(s), "+c"(n) : : "memory");
            return to;
        }
#endif
        for (; d < stop; d += 16, s += 16)
            AT(block, d) = OF(block, s);
        AT(block, stop) = end;
        return to;
    }
    block start = OF(block, s);
    for (; n > 16; n -= 16)
        AT(block, d + n - 16) = OF(block, s + n - 16);
    AT(block, d) = start;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n) __attribute__((alias("memmove")));

int memcmp(const void *one, const void *other, size_t n)
{
    const unsigned char *a = one, *b = other;

    for (size_t at = 0; n >= 8; at = at + 8 < n - 8 ? at + 8 : n - 8) { /* the last eight may overlap those before */
        uint64_t x = OF(eight, a + at), y = OF(eight, b + at);
        if (x != y)
            return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
        if (at == n - 8)
            return 0;
    }
    for (; n; n--, a++, b++)
        if (*a != *b)
            return *a - *b;
    return 0;
}

void *memchr(const void *from, int wanted, size_t n)
{
    const unsigned char *s = from, byte = wanted;

    for (; n >= 64; s += 64, n -= 64) {
        block found = (block)((OF(bytes, s) == byte) | (OF(bytes, s + 16) == byte) | (OF(bytes, s + 32) == byte) | (OF(bytes, s + 48) == byte));
        if (found[0] | found[1])
            break;
    }
    for (; n; n--, s++)
        if (*s == byte)
            return (void *)s;
    return NULL;
}
#endif
