/* The binary holds bytecode and compiled code only, so CPython's parser and compiler are not linked in. This file stands
 * in their place: eval, exec and compile raise; the few sources that Nuitka's start-up code hands to the compiler were
 * compiled when the binary was built (startup.h) and are looked up by their text. */
#define NEED_OPCODE_METADATA
#include "Python.h"
#include "marshal.h"
#include "pycore_opcode_metadata.h"
#include <string.h>

#include "startup.h" /* struct { const char *source; const unsigned char *code; int size; } startup[STARTUP] */

static const char *pending; /* the source last "parsed"; read by the "compiler" at once, under the GIL */

static void *refuse(void)
{
    PyErr_SetString(PyExc_SystemError, "no compiler in this build");
    return NULL;
}

void *_PyParser_ASTFromString(const char *source, PyObject *filename, int mode, void *flags, void *arena)
{
    pending = source;
    return (void *)source; /* any non-null pointer: nobody looks inside */
}

void *_PyAST_Compile(void *tree, PyObject *filename, void *flags, int optimize, void *arena)
{
    for (int i = 0; i < STARTUP; i++)
        if (strcmp(pending, startup[i].source) == 0)
            return PyMarshal_ReadObjectFromString((const char *)startup[i].code, startup[i].size);
    return refuse();
}

#define REFUSED(name) void *name(void) { return refuse(); }
REFUSED(_PyParser_ASTFromFile)
REFUSED(_PyParser_InteractiveASTFromFile)
REFUSED(_PyCompile_AstOptimize)
REFUSED(PyAST_obj2mod)
REFUSED(PyAST_mod2obj)
REFUSED(_PyTokenizer_FindEncodingFilename)
REFUSED(PyInit__ast)
REFUSED(PyInit__tokenize)

int PyAST_Check(PyObject *object) { return 0; }
int _PyAST_Validate(void *tree) { return 1; }
void _PyAST_Fini(void *interpreter) {}

/* The opcode module asks these; it is not in the binary, but its C half is. */
#define NOTHING(name) int name(int opcode) { return 0; }
NOTHING(_PyCompile_OpcodeIsValid)
NOTHING(_PyCompile_OpcodeHasName)
NOTHING(_PyCompile_OpcodeHasLocal)
NOTHING(_PyCompile_OpcodeHasJump)
NOTHING(_PyCompile_OpcodeHasFree)
NOTHING(_PyCompile_OpcodeHasExc)
NOTHING(_PyCompile_OpcodeHasConst)
NOTHING(_PyCompile_OpcodeHasArg)
int PyCompile_OpcodeStackEffectWithJump(int opcode, int oparg, int jump) { return 0; }
int PyCompile_OpcodeStackEffect(int opcode, int oparg) { return 0; }

/* Two types that the list of static types names. They are made ready at the start, and never instantiated. */
#define TYPE(variable, text) \
    PyTypeObject variable = {PyVarObject_HEAD_INIT(&PyType_Type, 0).tp_name = text, .tp_basicsize = sizeof(PyObject), \
                             .tp_flags = Py_TPFLAGS_DEFAULT};
TYPE(PySTEntry_Type, "symtable entry")
TYPE(_PyInstructionSequence_Type, "InstructionSequence")

/* super() and type.__setattr__ mangle private names; the rule is the language reference's: "__name" in class "_C" becomes
 * "_C__name", unless it ends in two underscores, has a dot, or the class has no letter but underscores. */
PyObject *_Py_Mangle(PyObject *owner, PyObject *name)
{
    if (owner == NULL || !PyUnicode_Check(owner))
        return Py_NewRef(name);
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(name, &length), *class = PyUnicode_AsUTF8(owner);
    if (text == NULL || class == NULL)
        return NULL;
    if (strncmp(text, "__", 2) != 0 || strcmp(text + length - 2, "__") == 0 || strchr(text, '.') != NULL)
        return Py_NewRef(name);
    class += strspn(class, "_");
    return *class ? PyUnicode_FromFormat("_%s%s", class, text) : Py_NewRef(name);
}
