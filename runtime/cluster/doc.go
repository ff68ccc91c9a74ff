// Package cluster makes a worker one of several over Kafka: the config log and the status log in compacted topics, and the
// membership in a group of workers, among which it spreads connectors and tasks.
package cluster
