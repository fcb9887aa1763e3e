/* Among what is packed apart: the bytecode of the modules there. code.h, which late.py writes, has the table `modules`. */
#include <string.h>

#include "code.h"

/* Return the marshalled code of a module and its size in bytes; NULL when it is not here. */
const unsigned char *late_code(const char *name, int *size)
{
    for (int i = 0; modules[i].name; i++)
        if (strcmp(modules[i].name, name) == 0) {
            *size = modules[i].size;
            return modules[i].code;
        }
    return NULL;
}
