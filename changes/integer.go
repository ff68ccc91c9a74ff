package changes

import (
	"encoding/binary"
	"math/bits"
)

// AppendInt writes v in decimal, as strconv.AppendInt does, eight digits at a time.
func AppendInt(dst []byte, v int64) []byte {
	if v < 0 {
		return AppendUint(append(dst, '-'), -uint64(v))
	}
	return AppendUint(dst, uint64(v))
}

// AppendUint writes v in decimal.
func AppendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 1e8:
		x := eightDigits(v)
		zeros := bits.TrailingZeros64(x|1<<56) / 8 // bytes before the first digit; the last one always stays
		return binary.LittleEndian.AppendUint64(dst, (x|ones*'0')>>(8*zeros))[:len(dst)+8-zeros]
	case v < 1e16:
		return binary.LittleEndian.AppendUint64(AppendUint(dst, v/1e8), eightDigits(v%1e8)|ones*'0')
	}
	top, rest := v/1e16, v%1e16
	dst = AppendUint(dst, top)
	dst = binary.LittleEndian.AppendUint64(dst, eightDigits(rest/1e8)|ones*'0')
	return binary.LittleEndian.AppendUint64(dst, eightDigits(rest%1e8)|ones*'0')
}

// eightDigits spreads the decimal digits of v (below 10^8) over the bytes of a word, the first digit in the lowest byte: halves of
// four digits, then of two, then of one.
func eightDigits(v uint64) uint64 {
	x := v/10000 | v%10000<<32
	q := x * 10486 >> 20 & 0x7F0000007F // each half / 100
	x = q | (x-100*q)<<16
	q = x * 103 >> 10 & 0x000F000F000F000F // each quarter / 10
	return q | (x-10*q)<<8
}
