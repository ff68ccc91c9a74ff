package changes

import (
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// Heartbeat makes heartbeat records: their stream, and one body per beat. Immutable.
type Heartbeat struct {
	Stream *connectors.Stream
	server string
}

// NewHeartbeat returns the heartbeat of a connector.
func NewHeartbeat(n *Naming) *Heartbeat {
	key := &schemas.Schema{Kind: schemas.Struct, Name: n.Schema("io.debezium.connector.common.ServerNameKey"), Version: 1, Fields: []schemas.Field{
		{Name: "serverName", Schema: &schemas.Schema{Kind: schemas.String}},
	}}
	value := &schemas.Schema{Kind: schemas.Struct, Name: n.Schema("io.debezium.connector.common.Heartbeat"), Version: 1, Fields: []schemas.Field{
		{Name: "ts_ms", Schema: &schemas.Schema{Kind: schemas.Int64}},
	}}
	return &Heartbeat{Stream: &connectors.Stream{Topic: n.HeartbeatTopic(), Key: key, Value: value}, server: n.Prefix}
}

// Append adds a heartbeat to a batch. nanos is the time in ns since 1970. It goes to partition 0.
func (h *Heartbeat) Append(w *connectors.Builder, nanos int64) {
	r := w.Body(w.Stream(h.Stream), connectors.OpNone, connectors.Body{
		Key:   schemas.Typed{Schema: h.Stream.Key, Value: schemas.StructValue{h.server}},
		Value: schemas.Typed{Schema: h.Stream.Value, Value: schemas.StructValue{nanos / 1e6}},
	})
	r.KafkaPartition, r.Timestamp = 0, nanos
}
