/* For crypto/ec/curve25519.c: its table of multiples of the base point, 30 KB of numbers that do not compress, is computed when it is
 * first asked for: k25519Precomp[i][j] = (j+1)*256^i*B. build/openssl.py compares it with the table that OpenSSL has. */
#include <openssl/crypto.h>

static ge_precomp k25519Precomp[32][8];
static CRYPTO_ONCE k25519_once = CRYPTO_ONCE_STATIC_INIT;
static const ge_precomp Bi[8]; /* defined below in that file; the first is B */

/* The form that the table has its numbers in: reduced. */
static void
fe_reduced(fe h)
{
    uint8_t bytes[32];
    fe_tobytes(bytes, h);
    fe_frombytes(h, bytes);
}

static void
ge_p3_to_precomp(ge_precomp *r, const ge_p3 *p)
{
    fe z, x, y;
    fe_invert(z, p->Z);
    fe_mul(x, p->X, z);
    fe_mul(y, p->Y, z);
    fe_add(r->yplusx, y, x);
    fe_sub(r->yminusx, y, x);
    fe_mul(r->xy2d, x, y);
    fe_mul(r->xy2d, r->xy2d, d2);
    fe_reduced(r->yplusx);
    fe_reduced(r->yminusx);
    fe_reduced(r->xy2d);
}

static void
k25519_compute(void)
{
    ge_p3 power, multiple;
    ge_cached step;
    ge_p1p1 sum;
    ge_p3_0(&power);
    ge_madd(&sum, &power, &Bi[0]);
    ge_p1p1_to_p3(&power, &sum);
    for (int i = 0; i < 32; i++) {
        multiple = power;
        ge_p3_to_cached(&step, &power);
        for (int j = 0; j < 8; j++) {
            ge_p3_to_precomp(&k25519Precomp[i][j], &multiple);
            ge_add(&sum, &multiple, &step);
            ge_p1p1_to_p3(&multiple, &sum);
        }
        for (int bit = 0; bit < 8; bit++) {
            ge_p3_dbl(&sum, &power);
            ge_p1p1_to_p3(&power, &sum);
        }
    }
}

/* Compute the table unless that was done; a key made without it would be known to everybody. */
static void
k25519_ready(void)
{
    if (!CRYPTO_THREAD_run_once(&k25519_once, k25519_compute))
        OPENSSL_die("no table for curve 25519", __FILE__, __LINE__);
}
