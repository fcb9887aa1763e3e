/* Exits 0 when the table that k25519.h computes has the same numbers as OpenSSL's own, which openssl.py has put aside as table.h. */
#include "crypto/ec/curve25519.c"
#include "crypto/ec/table.h"

static int
differ(const fe one, const fe other)
{
    uint8_t bytes[2][32];
    fe_tobytes(bytes[0], one);
    fe_tobytes(bytes[1], other);
    return memcmp(bytes[0], bytes[1], 32);
}

int
main(void)
{
    int wrong = 0;
    k25519_ready();
    for (int i = 0; i < 32; i++) {
        for (int j = 0; j < 8; j++) {
            const ge_precomp *made = &k25519Precomp[i][j], *known = &wanted[i][j];
            wrong += differ(made->yplusx, known->yplusx) || differ(made->yminusx, known->yminusx) || differ(made->xy2d, known->xy2d);
        }
    }
    return wrong != 0;
}
