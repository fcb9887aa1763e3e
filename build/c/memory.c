/* The memcpy that comes with the compiler is built for size and moves one byte at a time: a third of a large message's time
 * was spent there. Here up to 128 bytes are moved by overlapping vectors,
 * which is right for overlapping blocks too, since all is loaded before anything is stored; more goes in a loop or, from
 * 2 KiB on, by `rep movsb` where the processor has it. It is used only where a vector may lie at any address. */
#if defined(__x86_64__) || defined(__aarch64__)
#include <stddef.h>
#include <stdint.h>

typedef long long block __attribute__((vector_size(16), aligned(1), may_alias));
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
#endif
