package postgres

import (
	"encoding/base64"
	"encoding/hex"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// messageStream makes records of logical messages, pg_logical_emit_message (reference,
// io.debezium.connector.postgresql.LogicalDecodingMessageMonitor).
type messageStream struct {
	stream *connectors.Stream
	source *connectors.SourceBlock
	view   connectors.View // of the content
}

func newMessageStream(c *catalog) *messageStream {
	n := c.cfg.naming
	content := c.cfg.modes.Binary(true)
	key := &schemas.Schema{Kind: schemas.Struct, Name: n.Schema("io.debezium.connector.postgresql.MessageKey"), Version: 1, Fields: []schemas.Field{
		{Name: "prefix", Schema: changes.Plain(schemas.String, true)},
	}}
	source := c.sourceBlock(changes.TableID{Catalog: c.cfg.database})
	message := &schemas.Schema{Kind: schemas.Struct, Name: n.Schema("io.debezium.connector.postgresql.Message"), Version: 1, Fields: []schemas.Field{
		{Name: "prefix", Schema: changes.Plain(schemas.String, true)},
		{Name: "content", Schema: content.Schema},
	}}
	value := &schemas.Schema{Kind: schemas.Struct, Name: n.Schema("io.debezium.connector.postgresql.MessageValue"), Version: 1, Fields: []schemas.Field{
		{Name: "op", Schema: changes.Plain(schemas.String, false)},
		{Name: "ts_ms", Schema: changes.Plain(schemas.Int64, true)},
		{Name: "source", Schema: source.Schema},
		{Name: "transaction", Schema: changes.TransactionBlock()},
		{Name: "message", Schema: message},
	}}
	return &messageStream{
		stream: &connectors.Stream{Topic: n.MessageTopic(), Key: key, Value: value}, source: source, view: content.View,
	}
}

// body makes one record; cells holds the values of Record.Source.
func (l *messageStream) body(m *pgMessage, nanos int64, cells [sourceCells]schemas.Value, transaction schemas.Value) connectors.Body {
	var content schemas.Value
	switch l.view {
	case connectors.ViewBase64:
		content = base64.StdEncoding.EncodeToString(m.content)
	case connectors.ViewBase64URL:
		content = base64.URLEncoding.EncodeToString(m.content)
	case connectors.ViewHex:
		content = hex.EncodeToString(m.content)
	default:
		content = append([]byte{}, m.content...)
	}
	source := make(schemas.StructValue, len(l.source.Fields))
	for i, f := range l.source.Fields {
		if f.Cell < 0 {
			source[i] = f.Constant
			continue
		}
		v := cells[f.Cell]
		if n, ok := v.(int64); ok {
			if f.Multiply > 1 {
				n *= f.Multiply
			}
			if f.Divide > 1 {
				n /= f.Divide
			}
			v = n
		}
		source[i] = v
	}
	prefix := string(m.prefix)
	return connectors.Body{
		Key: schemas.Typed{Schema: l.stream.Key, Value: schemas.StructValue{prefix}},
		Value: schemas.Typed{Schema: l.stream.Value, Value: schemas.StructValue{
			"m", nanos / 1e6, source, transaction, schemas.StructValue{prefix, content},
		}},
	}
}

// message handles a logical message. One outside of a transaction comes at once and counts as a commit of its own.
func (s *stream) message(m *pgMessage, lsn uint64) error {
	t := &s.tx
	order := s.before(lsn) // lsn is behind the message: the next commit record may begin there
	p := position{proc: lsn, kind: typeMessage, lsn: lsn, micros: s.pos.micros}
	if t.open && m.transactional {
		var delivered bool
		var err error
		if order, delivered, err = s.arrived(lsn, 1); err != nil || delivered {
			return err
		}
		p.txID, p.micros = int64(t.xid), t.micros
	} else {
		if s.resume.alone && lsn == s.resume.lsn {
			s.resume = resume{}
			return nil
		}
		s.commit = lsn
	}
	p.commit = s.commit
	if s.logical == nil || !s.cfg.messages.accepts(string(m.prefix)) {
		if p.txID == 0 {
			s.pos = p
		}
		return nil
	}
	var cells [sourceCells]schemas.Value
	cells[changes.SourceTime], cells[changes.SourceSequence], cells[sourceLSN] = p.micros, string(s.sequence(lsn)), int64(lsn)
	var transaction schemas.Value
	if p.txID != 0 {
		cells[sourceTxID] = p.txID
		transaction = s.txns.Block(typeMessage, string(s.transactionID(lsn)))
	}
	r := s.b.Body(s.b.Stream(s.logical.stream), connectors.OpMessage, s.logical.body(m, s.wal.read.Load(), cells, transaction))
	r.Timestamp, r.Order, r.Last = s.wal.read.Load(), order, p.txID == 0
	s.pos, s.mark, s.through, s.delivered, t.inBatch = p, p, order, order.Major, p.txID != 0
	return nil
}
