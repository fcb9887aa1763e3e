/* Run by the build: packs the bytes of IN as late.c unpacks them; OUT is LZMA's five bytes of properties, then the stream.
 * pack_late x86|arm64 TEXT CODE IN OUT      CODE bytes from TEXT on are code, whose calls are made absolute first */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "Bra.h"
#include "LzmaEnc.h"

static void *allocate(ISzAllocPtr self, size_t size) { return malloc(size); }
static void release(ISzAllocPtr self, void *memory) { free(memory); }

int main(int count, char **words)
{
    const ISzAlloc memory = {allocate, release};
    CLzmaEncProps properties;
    UInt32 state = Z7_BRANCH_CONV_ST_X86_STATE_INIT_VAL;
    size_t text, code, size, room = 64 << 20, packed = room;
    size_t named = LZMA_PROPS_SIZE;
    Byte *bytes = malloc(room), *out = malloc(room), props[LZMA_PROPS_SIZE];
    FILE *file;

    if (count != 6 || !bytes || !out || !(file = fopen(words[4], "rb")))
        return 2;
    size = fread(bytes, 1, room, file);
    fclose(file);
    text = strtoul(words[2], NULL, 10);
    code = strtoul(words[3], NULL, 10);
    if (size == room || text + code > size)
        return 2;
    if (strcmp(words[1], "x86") == 0)
        z7_BranchConvSt_X86_Enc(bytes + text, code, 0, &state);
    else
        z7_BranchConv_ARM64_Enc(bytes + text, code, 0);
    LzmaEncProps_Init(&properties);
    properties.level = 9;
    properties.fb = 273;
    properties.mc = 10000;
    properties.reduceSize = size;
    if (LzmaEncode(out, &packed, bytes, size, &properties, props, &named, 0, NULL, &memory, &memory) != SZ_OK
        || !(file = fopen(words[5], "wb")))
        return 1;
    if (fwrite(props, 1, named, file) != named || fwrite(out, 1, packed, file) != packed || fclose(file) != 0)
        return 1;
    return 0;
}
