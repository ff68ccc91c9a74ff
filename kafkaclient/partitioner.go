package kafkaclient

import "encoding/binary"

// Murmur2 is the hash of Kafka's Java client (org.apache.kafka.common.utils.Utils.murmur2).
func Murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for len(data) >= 4 {
		k := binary.LittleEndian.Uint32(data) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
		data = data[4:]
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(data[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

// PartitionFor returns the partition of a key among n as the Java client's default partitioner does (BuiltInPartitioner.partitionForKey).
func PartitionFor(key []byte, n int32) int32 {
	return int32(Murmur2(key)&0x7fffffff) % n
}
