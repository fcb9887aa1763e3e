/* For Objects/typeobject.c: what a new class has of the special methods is looked up by some ninety names in each of its bases, nearly
 * always in vain; a start makes 350 classes. Names are interned, so a name whose address is not among those of the bases' keys is in
 * none of them. Which addresses there are is noted in a set of bits that may say too much, never too little. */
static uint64_t slot_names[64];
static int slot_names_known;

/* Where a name's bit is: an object's address is a multiple of 16. */
static uint64_t *
slot_name_word(PyObject *name)
{
    return &slot_names[(uintptr_t)name >> 10 & 63];
}

static uint64_t
slot_name_bit(PyObject *name)
{
    return (uint64_t)1 << ((uintptr_t)name >> 4 & 63);
}

/* Note the keys of all the bases' dictionaries; nothing is known when one of them is not an interned string. */
static void
note_slot_names(PyTypeObject *type)
{
    PyObject *mro = lookup_tp_mro(type), *key;
    memset(slot_names, 0, sizeof(slot_names));
    slot_names_known = 0;
    if (mro == NULL)
        return;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(mro); i++) {
        PyObject *dict = lookup_tp_dict(_PyType_CAST(PyTuple_GET_ITEM(mro, i)));
        for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, NULL);) {
            if (!PyUnicode_CheckExact(key) || !PyUnicode_CHECK_INTERNED(key))
                return;
            *slot_name_word(key) |= slot_name_bit(key);
        }
    }
    slot_names_known = 1;
}

/* Tell whether no base has the name, which is one of slotdefs': an interned one. */
static inline int
is_no_slot_name(PyObject *name)
{
    return slot_names_known && !(*slot_name_word(name) & slot_name_bit(name));
}
