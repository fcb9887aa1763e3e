/* The symbols that the code for all kinds of keys refers to, without the curve: X448 and Ed448 are neither offered nor read. */
#include "crypto/ecx.h"

int ossl_x448(uint8_t out[56], const uint8_t key[56], const uint8_t peer[56]) { return 0; }

void ossl_x448_public_from_private(uint8_t out[56], const uint8_t key[56]) { abort(); }

int ossl_ed448_public_from_private(OSSL_LIB_CTX *ctx, uint8_t out[57], const uint8_t key[57], const char *propq) { return 0; }

int ossl_ed448_pubkey_verify(const uint8_t *pub, size_t size) { return 0; }

int ossl_ed448_sign(OSSL_LIB_CTX *ctx, uint8_t *out, const uint8_t *message, size_t size, const uint8_t pub[57], const uint8_t key[57],
                    const uint8_t *context, size_t context_size, const uint8_t phflag, const char *propq) { return 0; }

int ossl_ed448_verify(OSSL_LIB_CTX *ctx, const uint8_t *message, size_t size, const uint8_t signature[114], const uint8_t pub[57],
                      const uint8_t *context, size_t context_size, const uint8_t phflag, const char *propq) { return 0; }
