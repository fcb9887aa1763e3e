/* bridge.sns._rsa: RSA PKCS#1 v1.5 verification by libcrypto (OpenSSL 3.0 and later).
 *
 * Key(modulus, exponent) takes big-endian bytes; Key.verify(signature, message, "sha1" | "sha256") -> bool.
 * sha256(bytes) -> bytes is for bridge.sqs.signing.
 * As in bridge.sns.rsa the padding is never parsed. The only valid encoding is made with the key, without a hash; a message's
 * hash is added to it, and the whole is compared (RFC 8017 section 8.2.2). All of that is done with numbers, because libcrypto
 * reads and writes a number's bytes in constant time, which takes longer. Nothing here is secret, so nothing needs that. The
 * objects of a verification are made once and shared. That is safe because the GIL is held wherever a key is used; only long
 * messages are hashed without it.
 *
 * The hashes are called directly, not by EVP, because its fetching of algorithms would bring half of libcrypto along.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdio.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sha.h>

enum { DIGESTS = 2, MIN_MODULUS = 256, MAX_MODULUS = 512, MAX_EXPONENT = 4, LONG_MESSAGE = 65536 };

static void sha1(const char *message, size_t size, unsigned char *out)
{
    SHA_CTX context;

    SHA1_Init(&context);
    SHA1_Update(&context, message, size);
    SHA1_Final(out, &context);
}

static void sha256(const char *message, size_t size, unsigned char *out)
{
    SHA256_CTX context;

    SHA256_Init(&context);
    SHA256_Update(&context, message, size);
    SHA256_Final(out, &context);
}

/* RFC 8017 section 9.2, note 1: the bytes before the hash */
static const struct {
    const char *name;
    void (*hash)(const char *message, size_t size, unsigned char *out);
    int info_size, hash_size;
    unsigned char info[19];
} digests[DIGESTS] = {
    {"sha1", sha1, 15, 20, {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14}},
    {"sha256", sha256, 19, 32, {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
                                0x00, 0x04, 0x20}},
};
static BN_CTX *scratch;

typedef struct {
    PyObject_HEAD
    int size;           /* of modulus and signature, in bytes */
    unsigned exponent;
    BIGNUM *modulus, *signature, *power, *result;
    BIGNUM *encoded[DIGESTS]; /* 00 01 FF ... FF 00 DigestInfo, with zeros in the hash's place */
    BN_MONT_CTX *mont;
} Key;

static void key_dealloc(Key *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    BN_MONT_CTX_free(self->mont);
    BN_free(self->modulus);
    BN_free(self->signature);
    BN_free(self->power);
    BN_free(self->result);
    for (int i = 0; i < DIGESTS; i++)
        BN_free(self->encoded[i]);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *key_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    const unsigned char *modulus, *exponent;
    unsigned char encoded[MAX_MODULUS];
    Py_ssize_t modulus_size, exponent_size;
    Key *self;

    if (!PyArg_ParseTuple(args, "y#y#:Key", &modulus, &modulus_size, &exponent, &exponent_size))
        return NULL;
    if (modulus_size < MIN_MODULUS || modulus_size > MAX_MODULUS || !modulus[0] || !(modulus[modulus_size - 1] & 1))
        return PyErr_Format(PyExc_ValueError, "modulus");
    if (exponent_size < 1 || exponent_size > MAX_EXPONENT || !(exponent[exponent_size - 1] & 1)
        || (exponent_size == 1 && exponent[0] == 1))
        return PyErr_Format(PyExc_ValueError, "exponent");
    if (!(self = (Key *)PyType_GenericAlloc(type, 0)))
        return NULL;
    self->size = (int)modulus_size;
    for (int i = 0; i < exponent_size; i++)
        self->exponent = self->exponent << 8 | exponent[i];
    self->modulus = BN_bin2bn(modulus, self->size, NULL);
    self->signature = BN_new();
    self->power = BN_new();
    self->result = BN_new();
    self->mont = BN_MONT_CTX_new();
    if (!self->modulus || !self->signature || !self->power || !self->result || !self->mont
        || !BN_MONT_CTX_set(self->mont, self->modulus, scratch))
        goto failed;
    for (int i = 0; i < DIGESTS; i++) {
        int hash_at = self->size - digests[i].hash_size, info_at = hash_at - digests[i].info_size;

        memset(encoded, 0xff, (size_t)info_at);
        encoded[0] = encoded[info_at - 1] = 0;
        encoded[1] = 1;
        memcpy(encoded + info_at, digests[i].info, (size_t)digests[i].info_size);
        memset(encoded + hash_at, 0, (size_t)digests[i].hash_size);
        if (!(self->encoded[i] = BN_bin2bn(encoded, self->size, NULL)))
            goto failed;
    }
    return (PyObject *)self;
failed:
    ERR_clear_error();
    Py_DECREF(self);
    return PyErr_NoMemory();
}

/* result = signature ** exponent % modulus, from the exponent's highest bit down. Return 0 when memory is short. */
static int power(Key *self)
{
    unsigned bit = 1u << 31;
    int done;

    while (!(self->exponent & bit))
        bit >>= 1;
    done = BN_to_montgomery(self->power, self->signature, self->mont, scratch)
        && BN_copy(self->result, self->power);
    while (done && (bit >>= 1)) {
        done = BN_mod_mul_montgomery(self->result, self->result, self->result, self->mont, scratch);
        if (done && (self->exponent & bit)) /* the last factor, of an odd exponent's lowest bit, leads back out of Montgomery's form */
            done = BN_mod_mul_montgomery(self->result, self->result, bit == 1 ? self->signature : self->power, self->mont, scratch);
    }
    return done;
}

/* Hash the message; a long one while other threads run. */
static void hash(int i, const char *message, Py_ssize_t size, unsigned char *out)
{
    PyThreadState *released = size < LONG_MESSAGE ? NULL : PyEval_SaveThread();

    digests[i].hash(message, (size_t)size, out);
    if (released)
        PyEval_RestoreThread(released);
}

static PyObject *key_verify(Key *self, PyObject *const *args, Py_ssize_t count)
{
    char *signature, *message;
    Py_ssize_t signature_size, message_size;
    unsigned char out[32];
    int i = 0;

    if (count != 3 || !PyUnicode_Check(args[2]))
        return PyErr_Format(PyExc_TypeError, "verify(signature, message, digest)");
    if (PyBytes_AsStringAndSize(args[0], &signature, &signature_size) < 0
        || PyBytes_AsStringAndSize(args[1], &message, &message_size) < 0)
        return NULL;
    while (PyUnicode_CompareWithASCIIString(args[2], digests[i].name) != 0)
        if (++i == DIGESTS)
            return PyErr_Format(PyExc_ValueError, "%U", args[2]);
    if (signature_size != self->size)
        Py_RETURN_FALSE;
    hash(i, message, message_size, out);
    if (!BN_bin2bn((unsigned char *)signature, self->size, self->signature))
        goto failed;
    if (BN_ucmp(self->signature, self->modulus) >= 0)
        Py_RETURN_FALSE;
    if (!power(self) || !BN_bin2bn(out, digests[i].hash_size, self->power) || !BN_add(self->power, self->power, self->encoded[i]))
        goto failed;
    return PyBool_FromLong(BN_ucmp(self->result, self->power) == 0);
failed:
    ERR_clear_error();
    return PyErr_Format(PyExc_RuntimeError, "libcrypto could not verify");
}

static PyMethodDef key_methods[] = {{"verify", (PyCFunction)(void (*)(void))key_verify, METH_FASTCALL, NULL}, {0}};
static PyType_Slot key_slots[] = {{Py_tp_new, key_new}, {Py_tp_dealloc, key_dealloc}, {Py_tp_methods, key_methods}, {0}};
static PyType_Spec key_spec = {"bridge.sns._rsa.Key", sizeof(Key), 0, Py_TPFLAGS_DEFAULT, key_slots};

static PyObject *module_sha256(PyObject *module, PyObject *message)
{
    char *start;
    Py_ssize_t size;
    unsigned char out[32];

    if (PyBytes_AsStringAndSize(message, &start, &size) < 0)
        return NULL;
    sha256(start, (size_t)size, out);
    return PyBytes_FromStringAndSize((char *)out, sizeof out);
}

static PyMethodDef module_methods[] = {{"sha256", module_sha256, METH_O, NULL}, {0}};
static struct PyModuleDef module_def = {PyModuleDef_HEAD_INIT, "bridge.sns._rsa", NULL, -1, module_methods};

PyMODINIT_FUNC PyInit__rsa(void)
{
    PyObject *module = PyModule_Create(&module_def), *type = module ? PyType_FromSpec(&key_spec) : NULL;
    char version[40];

    /* A static libcrypto looks for the processor's instructions only when it is told to; else a verification takes 28 us, not 20. */
    if (!OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL))
        PyErr_Format(PyExc_ImportError, "libcrypto could not start");
    snprintf(version, sizeof version, "%u.%u.%u", OPENSSL_version_major(), OPENSSL_version_minor(), OPENSSL_version_patch());
    if (PyErr_Occurred() || !type || PyModule_AddObjectRef(module, "Key", type) < 0
        || PyModule_AddStringConstant(module, "LIBCRYPTO", version) < 0
        || (!(scratch = BN_CTX_new()) && !PyErr_NoMemory()))
        Py_CLEAR(module);
    Py_XDECREF(type);
    return module;
}
