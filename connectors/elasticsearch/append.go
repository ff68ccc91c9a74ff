package elasticsearch

import (
	"hash/fnv"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// The fields that documents of mode append have beside the columns.
const (
	fieldTime    = "@timestamp"
	fieldOp      = "__op"
	fieldOrder   = "__order"
	fieldMissing = "__unavailable"
)

func appendFields() []wantedField {
	keyword := fieldType{"keyword", `{"type":"keyword"}`}
	return []wantedField{{fieldTime, fieldType{"date", `{"type":"date"}`}}, {fieldOp, keyword}, {fieldOrder, keyword}, {fieldMissing, keyword}}
}

func appendMicros(dst []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
}

// addAppend writes a document for a change. Its id follows from the place in the source's log, so that a change that comes again replaces
// itself; rows of a snapshot share their place, and have their key in the id. A snapshot row without key gets an id from the server.
func (s *sink) addAppend(h *held, p *plan, record int, row *changes.Row) error {
	b := h.batch
	r := &b.Records[record]
	order := r.Order
	if from := b.Origin(); from != b {
		order = from.Records[record].Order // the offset in its topic, which no other record has
	}
	id := appendHex(s.scratch[:0], partitionHash(string(b.Source)), 16)
	at := len(id) + 1
	id = appendHex(append(id, '-'), uint64(order.Epoch), 8)
	id = appendHex(append(id, '-'), order.Major, 16)
	id = appendHex(append(id, '-'), uint64(order.Minor), 8)
	place := id[at:len(id):len(id)]
	id = append(id, '-', r.Op.Letter())
	if row.Op == connectors.OpRead && b.Origin() == b {
		if len(p.keys) == 0 {
			id = id[:0]
		} else {
			var why problem
			bad := 0
			if id, bad, why = appendID(append(id, '-'), b, row.Key, p.keys); why != "" {
				return p.explainKey(bad, why)
			}
			if len(id) > maxID {
				id = appendHex(id[:at+36], partitionHash(string(id[at+36:])), 16)
			}
		}
	}
	s.scratch = id
	w := action{op: opIndex, id: id, record: uint32(record), alone: true}
	if s.cfg.streams() {
		w.op = opCreate
	}
	return s.line(h, p, &w, nil, nil, func(dst []byte) ([]byte, error) {
		dst = appendMicros(append(dst, `"`+fieldTime+`":"`...), p.time.Micros(b, r))
		dst = append(dst, `","`+fieldOp+`":"`...)
		dst = append(append(dst, r.Op.Letter()), `","`+fieldOrder+`":"`...)
		dst = append(append(dst, place...), '"')
		cells := row.Row
		if cells == nil && row.Old != nil {
			cells = row.Old
		}
		var bad failure
		if cells != nil {
			if dst, bad = p.appendRow(dst, b, cells, true); bad.problem != "" {
				return dst, p.explain(bad)
			}
			return p.appendMissing(dst, cells), nil
		}
		for i, name := range p.keyed {
			if p.keys[i] >= len(row.Key) || row.Key[p.keys[i]].Missing() {
				continue
			}
			dst = append(changes.AppendJSONText(append(dst, ','), name), ':')
			var why problem
			if dst, why = appendValue(dst, b, row.Key[p.keys[i]], false); why != "" {
				return dst, p.explainKey(i, why)
			}
		}
		return dst, nil
	})
}

// appendMissing names the columns that the source did not send.
func (p *plan) appendMissing(dst []byte, row []connectors.Cell) []byte {
	n := 0
	for i := range p.columns {
		if !row[p.columns[i].cell].Missing() {
			continue
		}
		if n++; n == 1 {
			dst = append(dst, `,"`+fieldMissing+`":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = changes.AppendJSONText(dst, p.columns[i].name)
	}
	if n > 0 {
		dst = append(dst, ']')
	}
	return dst
}

func partitionHash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}

func appendHex(dst []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[v>>shift&15])
	}
	return dst
}
