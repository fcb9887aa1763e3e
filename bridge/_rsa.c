/* bridge._rsa: RSA PKCS#1 v1.5 verification by libcrypto (OpenSSL 3.0 and later).
 *
 * Key(modulus, exponent) takes big-endian bytes; Key.verify(signature, message, "sha1" | "sha256") -> bool.
 * The contexts of a key and the digests are made once: making one for a verification costs ten times as much as
 * the verification. They are shared, which the GIL makes safe: it is held wherever one is used. Only long messages
 * are hashed without it, in a context of their own.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

enum { DIGESTS = 2, MAX_MODULUS = 512, MAX_EXPONENT = 8, LONG_MESSAGE = 65536 };

static const char *const digest_names[DIGESTS] = {"sha1", "sha256"};
static EVP_MD *digests[DIGESTS];
static EVP_MD_CTX *hashes[DIGESTS];

typedef struct {
    PyObject_HEAD
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *verifiers[DIGESTS];
} Key;

static EVP_PKEY *make_pkey(const unsigned char *modulus, int modulus_size, const unsigned char *exponent, int exponent_size)
{
    unsigned char n[MAX_MODULUS], e[MAX_EXPONENT]; /* OSSL_PARAM wants the machine's byte order */
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *big_n = BN_bin2bn(modulus, modulus_size, NULL), *big_e = BN_bin2bn(exponent, exponent_size, NULL);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, n, modulus_size),
                           OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, e, exponent_size), OSSL_PARAM_construct_end()};

    if (!context || !big_n || !big_e || BN_bn2nativepad(big_n, n, modulus_size) < 0
        || BN_bn2nativepad(big_e, e, exponent_size) < 0 || EVP_PKEY_fromdata_init(context) != 1
        || EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    BN_free(big_n);
    BN_free(big_e);
    EVP_PKEY_CTX_free(context);
    return pkey;
}

static PyObject *key_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    const unsigned char *modulus, *exponent;
    Py_ssize_t modulus_size, exponent_size;
    Key *self;

    if (!PyArg_ParseTuple(args, "y#y#:Key", &modulus, &modulus_size, &exponent, &exponent_size))
        return NULL;
    if (modulus_size < 256 || modulus_size > MAX_MODULUS || exponent_size < 1 || exponent_size > MAX_EXPONENT)
        return PyErr_Format(PyExc_ValueError, "size of modulus or exponent");
    if (!(self = (Key *)PyType_GenericAlloc(type, 0)))
        return NULL;
    self->pkey = make_pkey(modulus, (int)modulus_size, exponent, (int)exponent_size);
    for (int i = 0; i < DIGESTS; i++) {
        EVP_PKEY_CTX *verifier = self->verifiers[i] = self->pkey ? EVP_PKEY_CTX_new(self->pkey, NULL) : NULL;
        if (!verifier || EVP_PKEY_verify_init(verifier) != 1
            || EVP_PKEY_CTX_set_rsa_padding(verifier, RSA_PKCS1_PADDING) != 1
            || EVP_PKEY_CTX_set_signature_md(verifier, digests[i]) != 1) {
            ERR_clear_error();
            Py_DECREF(self);
            return PyErr_Format(PyExc_ValueError, "libcrypto refuses the key, or %s", digest_names[i]);
        }
    }
    return (PyObject *)self;
}

static void key_dealloc(Key *self)
{
    PyTypeObject *type = Py_TYPE(self);

    for (int i = 0; i < DIGESTS; i++)
        EVP_PKEY_CTX_free(self->verifiers[i]);
    EVP_PKEY_free(self->pkey);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int hash(EVP_MD_CTX *context, int i, const char *message, Py_ssize_t size, unsigned char *out, unsigned *out_size)
{
    return context && EVP_DigestInit_ex(context, digests[i], NULL) == 1
        && EVP_DigestUpdate(context, message, (size_t)size) == 1 && EVP_DigestFinal_ex(context, out, out_size) == 1;
}

static PyObject *key_verify(Key *self, PyObject *const *args, Py_ssize_t count)
{
    char *signature, *message;
    Py_ssize_t signature_size, message_size;
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned out_size;
    EVP_MD_CTX *own = NULL;
    PyThreadState *unlocked = NULL;
    int i = 0, hashed, result = -1;

    if (count != 3 || !PyUnicode_Check(args[2]))
        return PyErr_Format(PyExc_TypeError, "verify(signature, message, digest)");
    if (PyBytes_AsStringAndSize(args[0], &signature, &signature_size) < 0
        || PyBytes_AsStringAndSize(args[1], &message, &message_size) < 0)
        return NULL;
    while (PyUnicode_CompareWithASCIIString(args[2], digest_names[i]) != 0)
        if (++i == DIGESTS)
            return PyErr_Format(PyExc_ValueError, "%U", args[2]);
    if (message_size >= LONG_MESSAGE) {
        own = EVP_MD_CTX_new();
        unlocked = PyEval_SaveThread();
    }
    hashed = hash(unlocked ? own : hashes[i], i, message, message_size, out, &out_size);
    if (unlocked)
        PyEval_RestoreThread(unlocked);
    EVP_MD_CTX_free(own);
    if (hashed)
        result = EVP_PKEY_verify(self->verifiers[i], (unsigned char *)signature, (size_t)signature_size, out, out_size);
    if (result != 1)
        ERR_clear_error();
    if (result < 0)
        return PyErr_Format(PyExc_RuntimeError, "libcrypto could not verify");
    return PyBool_FromLong(result);
}

static PyMethodDef key_methods[] = {{"verify", (PyCFunction)(void (*)(void))key_verify, METH_FASTCALL, NULL}, {0}};
static PyType_Slot key_slots[] = {{Py_tp_new, key_new}, {Py_tp_dealloc, key_dealloc}, {Py_tp_methods, key_methods}, {0}};
static PyType_Spec key_spec = {"bridge._rsa.Key", sizeof(Key), 0, Py_TPFLAGS_DEFAULT, key_slots};
static struct PyModuleDef module_def = {PyModuleDef_HEAD_INIT, "bridge._rsa", NULL, -1, NULL};

PyMODINIT_FUNC PyInit__rsa(void)
{
    PyObject *module = PyModule_Create(&module_def), *type = module ? PyType_FromSpec(&key_spec) : NULL;

    if (!type || PyModule_AddObjectRef(module, "Key", type) < 0
        || PyModule_AddStringConstant(module, "LIBCRYPTO", OpenSSL_version(OPENSSL_VERSION_STRING)) < 0)
        goto failed;
    for (int i = 0; i < DIGESTS; i++)
        if (!(digests[i] = EVP_MD_fetch(NULL, digest_names[i], NULL)) || !(hashes[i] = EVP_MD_CTX_new())) {
            ERR_clear_error();
            PyErr_Format(PyExc_ImportError, "libcrypto has no %s", digest_names[i]);
            goto failed;
        }
    Py_DECREF(type);
    return module;
failed:
    Py_XDECREF(type);
    Py_XDECREF(module);
    return NULL;
}
