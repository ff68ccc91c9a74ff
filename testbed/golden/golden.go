// Package golden plays recorded scenarios against a worker and compares what it writes with what the reference wrote.
//
// A scenario is a folder with scenario.json, SQL files and golden/: records.jsonl (every record, in topic, partition and offset
// order), offsets.jsonl (the connector's records in the offset topic), states.json (offsets after each stop and pause, failures),
// topics.json and, where there is one, schema_history.jsonl.
package golden
