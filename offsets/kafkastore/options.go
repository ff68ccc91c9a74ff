package kafkastore

import (
	"fmt"
	"strconv"
	"strings"
)

// WorkerOptions reads Topic, Partitions, Replication and Settings from a worker's offset.storage.* properties
// (Kafka Connect, DistributedConfig): 25 partitions unless said otherwise. Topic is empty when it is not named.
func WorkerOptions(worker map[string]string) (Options, error) {
	o := Options{Partitions: 25, Replication: -1, Settings: map[string]string{}}
	for name, value := range worker {
		rest, ok := strings.CutPrefix(name, "offset.storage.")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch rest {
		case "topic":
			o.Topic = value
		case "file.filename": // of the embedded store
		case "partitions", "replication.factor":
			bits := 32
			if rest == "replication.factor" {
				bits = 16
			}
			n, err := strconv.ParseInt(value, 10, bits)
			if err != nil || n == 0 || n < -1 {
				return o, fmt.Errorf("worker key %s is %q: a positive number is expected, or -1 for the broker's default", name, value)
			}
			if rest == "partitions" {
				o.Partitions = int32(n)
			} else {
				o.Replication = int16(n)
			}
		default:
			o.Settings[rest] = value
		}
	}
	return o, nil
}
