/* What a bridge without TLS does not need while it serves (build/late.py chooses it: libssl, most of libcrypto, requests and the
 * like) lies packed in the program's last segment. The first call into it unpacks it to late_room; each such call goes through
 * late_gates, whose entries lead to late_load() until then (gates.s, which late.py writes).
 *
 * The module _late runs the bytecode of a late module: run(name, globals) -> None.
 */
#define _GNU_SOURCE /* memfd_create */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <marshal.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "Bra.h"
#include "LzmaDec.h"

/* late.py writes it before the packed bytes. `code` bytes at `text` were filtered; from `written` on memory stays writable. */
struct head { uint32_t packed, size, text, code, written, gates; uint8_t properties[8]; };

extern char _end[];
extern void (*late_gates[])(void);
extern const uint32_t late_count;
extern const unsigned char *late_code(const char *name, int *size); /* among what is packed */

/* Which code libcrypto has for this processor is found out at its start; verification does without that start. */
extern void OPENSSL_cpuid_setup(void);
__attribute__((constructor)) static void know_the_processor(void) { OPENSSL_cpuid_setup(); }

unsigned char late_room[LATE_ROOM] __attribute__((aligned(LATE_PAGE)));

static void *allocate(ISzAllocPtr self, size_t size) { return malloc(size); }
static void release(ISzAllocPtr self, void *memory) { free(memory); }

static void stop(const char *text)
{
    (void)!write(2, text, strlen(text));
    abort();
}

/* Let what was unpacked be executed. Where memory that was written may not be (systemd's MemoryDenyWriteExecute), it is mapped anew
 * from a file without a name. */
static int make_executable(size_t size)
{
    int file, done;

    if (mprotect(late_room, size, PROT_READ | PROT_EXEC) == 0)
        return 1;
    file = memfd_create("late", MFD_CLOEXEC);
    done = file >= 0 && write(file, late_room, size) == (ssize_t)size
        && mmap(late_room, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file, 0) != MAP_FAILED;
    if (file >= 0)
        close(file);
    return done;
}

/* Called by a gate, under the GIL as all that leads to one is; afterwards no gate leads here again. */
void late_load(void)
{
    const struct head *head = (const struct head *)(((uintptr_t)_end + LATE_PAGE - 1) / LATE_PAGE * LATE_PAGE);
    const ISzAlloc memory = {allocate, release};
    SizeT size = head->size, packed = head->packed;
    ELzmaStatus status;

    if (LzmaDecode(late_room, &size, (const Byte *)(head + 1), &packed, head->properties, LZMA_PROPS_SIZE, LZMA_FINISH_END,
                   &status, &memory) != SZ_OK || size != head->size || status != LZMA_STATUS_MAYBE_FINISHED_WITHOUT_MARK)
        stop("bridge: this program's file is damaged, or there is no memory to unpack it\n");
#ifdef __x86_64__
    UInt32 state = Z7_BRANCH_CONV_ST_X86_STATE_INIT_VAL;
    z7_BranchConvSt_X86_Dec(late_room + head->text, head->code, 0, &state);
#else
    z7_BranchConv_ARM64_Dec(late_room + head->text, head->code, 0);
#endif
    __builtin___clear_cache((char *)late_room, (char *)late_room + head->written);
    if (!make_executable(head->written))
        stop("bridge: the kernel lets nothing be executed that was unpacked: neither memory that was written nor a memfd\n");
    memcpy(late_gates, late_room + head->gates, late_count * sizeof *late_gates);
}

static PyObject *run(PyObject *module, PyObject *arguments)
{
    const char *name;
    PyObject *globals, *code, *result;
    int size;

    if (!PyArg_ParseTuple(arguments, "sO!:run", &name, &PyDict_Type, &globals))
        return NULL;
    const unsigned char *marshalled = late_code(name, &size);
    if (!marshalled)
        return PyErr_Format(PyExc_ImportError, "%s is not in this program", name);
    if (!(code = PyMarshal_ReadObjectFromString((const char *)marshalled, size)))
        return NULL;
    result = PyEval_EvalCode(code, globals, globals);
    Py_DECREF(code);
    return result;
}

static PyMethodDef methods[] = {{"run", run, METH_VARARGS, NULL}, {0}};
static struct PyModuleDef module_def = {PyModuleDef_HEAD_INIT, "_late", NULL, -1, methods};

PyMODINIT_FUNC PyInit__late(void)
{
    return PyModule_Create(&module_def);
}
