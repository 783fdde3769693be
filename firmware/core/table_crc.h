/* Written by make_tables.py; formulas in docs/firmware-arithmetic.md. Include in one C file only. */
#ifndef HZ_TABLE_CRC_H
#define HZ_TABLE_CRC_H

#include "rom.h"

static const uint32_t crc_table[16] HZ_ROM = {
    0UL, 498536548UL, 997073096UL, 651767980UL, 1994146192UL, 1802195444UL, 1303535960UL, 1342533948UL, 3988292384UL,
    4027552580UL, 3604390888UL, 3412177804UL, 2607071920UL, 2262029012UL, 2685067896UL, 3183342108UL,
};

#endif
