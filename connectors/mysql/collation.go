package mysql

// collationCharset returns the character set of a collation by its id, as TABLE_MAP gives it; nil: none (binary), or not known.
func collationCharset(id uint16) *charset {
	return charsets[collationCharsetName(id)]
}

// collationCharsetName knows the ids of MySQL 9 and MariaDB 11 (information_schema.collations).
func collationCharsetName(id uint16) string {
	if id >= 2048 { // MariaDB's UCA 14.0: 256 ids per character set
		switch id >> 8 {
		case 8:
			return "utf8mb3"
		case 9:
			return "utf8mb4"
		case 10:
			return "ucs2"
		case 11:
			return "utf16"
		case 12:
			return "utf32"
		}
		return ""
	}
	if id >= 1024 { // MariaDB's NOPAD variants
		id -= 1024
	}
	if id < 256 && narrowCollations[id] != "" {
		return narrowCollations[id]
	}
	for _, r := range collationRanges {
		if id >= r.from && id <= r.to {
			return r.charset
		}
	}
	return ""
}

var collationRanges = []struct {
	from, to uint16
	charset  string
}{
	{101, 124, "utf16"},
	{128, 151, "ucs2"},
	{159, 159, "ucs2"},
	{160, 183, "utf32"},
	{192, 223, "utf8mb3"},
	{224, 247, "utf8mb4"},
	{248, 250, "gb18030"},
	{255, 323, "utf8mb4"},
	{576, 579, "utf8mb3"},
	{608, 611, "utf8mb4"},
	{640, 643, "ucs2"},
	{672, 675, "utf16"},
	{736, 739, "utf32"},
}

// narrowCollations are the ids below 100, which follow no order.
var narrowCollations = func() (out [256]string) {
	for name, ids := range map[string][]uint8{
		"armscii8": {32, 64}, "ascii": {11, 65}, "big5": {1, 84}, "binary": {63}, "cp1250": {26, 34, 44, 66, 99}, "cp1251": {14, 23, 50, 51, 52},
		"cp1256": {57, 67}, "cp1257": {29, 58, 59}, "cp850": {4, 80}, "cp852": {40, 81}, "cp866": {36, 68}, "cp932": {95, 96}, "dec8": {3, 69},
		"eucjpms": {97, 98}, "euckr": {19, 85}, "gb2312": {24, 86}, "gbk": {28, 87}, "geostd8": {92, 93}, "greek": {25, 70}, "hebrew": {16, 71},
		"hp8": {6, 72}, "keybcs2": {37, 73}, "koi8r": {7, 74}, "koi8u": {22, 75}, "latin1": {5, 8, 15, 31, 47, 48, 49, 94},
		"latin2": {2, 9, 21, 27, 77}, "latin5": {30, 78}, "latin7": {20, 41, 42, 79}, "macce": {38, 43}, "macroman": {39, 53}, "sjis": {13, 88},
		"swe7": {10, 82}, "tis620": {18, 89}, "ucs2": {35, 90}, "ujis": {12, 91}, "utf16": {54, 55}, "utf16le": {56, 62}, "utf32": {60, 61},
		"utf8mb3": {33, 76, 83}, "utf8mb4": {45, 46},
	} {
		for _, id := range ids {
			out[id] = name
		}
	}
	return out
}()
