package kafkaclient

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// powers holds x^(2^i) modulo the Castagnoli polynomial; as everywhere here the highest bit is the lowest power.
var powers = func() (t [40]uint32) {
	t[0] = 1 << 30
	for i := 1; i < len(t); i++ {
		t[i] = multiply(t[i-1], t[i-1])
	}
	return t
}()

// joinChecksums returns the CRC-32C of two texts behind one another from those of each; n is the length of the second in bytes.
func joinChecksums(first, second uint32, n int) uint32 {
	for i := 3; n > 0; n, i = n>>1, i+1 { // times x^8n
		if n&1 != 0 {
			first = multiply(powers[i], first)
		}
	}
	return first ^ second
}

// multiply is the product of two polynomials modulo the Castagnoli polynomial.
func multiply(a, b uint32) uint32 {
	var p uint32
	for ; a != 0; a <<= 1 {
		if a>>31 != 0 {
			p ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.Castagnoli
		} else {
			b >>= 1
		}
	}
	return p
}
