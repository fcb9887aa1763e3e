/* musl's malloc gives every large block back to the kernel at once: a 64 KiB receive buffer costs two system calls a
 * message. This is the mimalloc that CPython carries, as the C library's malloc; CPython's own allocator stays above it.
 * The _PyMem_mi_ functions are what CPython's copy expects of a free-threaded interpreter; ours is not one. */
#include <stdbool.h>
#include "mimalloc.h"
#include "mimalloc/types.h"
#include "mimalloc/internal.h"

static void _PyMem_mi_page_clear_qsbr(mi_page_t *page) {}
static void _PyMem_mi_page_reclaimed(mi_page_t *page) {}
static void _PyMem_mi_heap_collect_qsbr(mi_heap_t *heap) {}
static bool _PyMem_mi_page_is_safe_to_free(mi_page_t *page) { return true; }
static bool _PyMem_mi_page_maybe_free(mi_page_t *page, mi_page_queue_t *queue, bool force)
{
    _mi_page_free(page, queue, force);
    return true;
}

#include "static.c"

/* A thread that has fetched something leaves pages behind that no other thread takes for long. */
__attribute__((constructor)) static void give_back(void)
{
    mi_option_set(mi_option_abandoned_page_purge, 1);
}
