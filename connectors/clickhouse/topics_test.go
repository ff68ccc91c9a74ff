package clickhouse

import (
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

// topicBatch has records of a topic as its source makes them: bodies, with the Kafka offset as position.
func (r *rig) topic(first uint64, bodies ...connectors.Body) error {
	r.Helper()
	id := r.Session.Next()
	w := connectors.NewBuilder(offsets.Partition(`{"kafka_topic":"shop.bets","kafka_partition":0}`), nil, nil)
	stream := w.Stream(&connectors.Stream{Topic: "shop.bets"})
	for i, body := range bodies {
		w.Body(stream, connectors.OpNone, body).Order = connectors.Order{Major: first + uint64(i)}
	}
	b := w.Finish(offsets.Offset(`{"kafka_offset":1}`), connectors.Order{Major: first + uint64(len(bodies)) - 1})
	b.ID = id
	if err := r.Task.Put(r.Context(), b); err != nil {
		b.Release()
		return err
	}
	return r.Flush()
}

var (
	topicKey = &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "id", Schema: &schemas.Schema{Kind: schemas.Int32}}}}
	topicRow = &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{
		{Name: "id", Schema: &schemas.Schema{Kind: schemas.Int32}},
		{Name: "horse", Schema: &schemas.Schema{Kind: schemas.String, Optional: true}},
		{Name: "at", Schema: &schemas.Schema{Kind: schemas.Int64, Optional: true, Name: "io.debezium.time.MicroTimestamp"}},
	}}
)

func topicKeyOf(id int32) schemas.Typed {
	return schemas.Typed{Schema: topicKey, Value: schemas.StructValue{id}}
}

func row(id int32, horse any, at any) connectors.Body {
	return connectors.Body{Key: topicKeyOf(id), Value: schemas.Typed{Schema: topicRow, Value: schemas.StructValue{id, horse, at}}}
}

func tombstone(id int32) connectors.Body { return connectors.Body{Key: topicKeyOf(id)} }

func TestMirrorOfATopic(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t), keyMap, "shop.bets=from_topic")
	for range 2 { // and once more from the beginning
		if err := r.topic(10, row(1, "a", int64(5)), row(2, "b", nil), row(1, "a2", int64(6)), tombstone(2), row(3, nil, nil)); err != nil {
			t.Fatal(err)
		}
		r.expect("SELECT id, horse, at FROM from_topic_current ORDER BY id", `1 a2 1970-01-01 00:00:00.000006 | 3 \N \N`)
	}
	if r.Session.Charged() != 0 {
		t.Errorf("%d bytes are still charged", r.Session.Charged())
	}
}

// TestReference writes records of a topic into a table that exists, as the reference's connector does.
func TestReference(t *testing.T) {
	t.Parallel()
	server := bed.ClickHouse(t)
	r := emptyRig(t, server)
	r.query("CREATE TABLE `shop.bets` (horse String DEFAULT '-', id UInt32) ENGINE = MergeTree ORDER BY id")
	task, err := Factory{}.NewSink(settings(server, r.database), connectors.Settings{Connector: "c", Class: class, Shared: true, RunID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	r.Start(task)
	if err := r.topic(1, row(1, "a", int64(5)), tombstone(1), row(1, "b", nil)); err != nil {
		t.Fatal(err)
	}
	r.expect("SELECT horse, id FROM `shop.bets` ORDER BY horse", "a 1 | b 1")
	r.Refused(r.topic(4, row(-1, "c", nil)), "column id", string(problemRange))
}
