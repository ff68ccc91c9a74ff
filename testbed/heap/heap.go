// Package heap measures what code asks of the heap, for tests of how much that may be. It imports nothing of this module, so that the tests
// of every package may use it.
package heap

import "runtime/metrics"

// Allocated is how many bytes of heap f asks for, with what other goroutines ask for meanwhile.
func Allocated(f func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}
