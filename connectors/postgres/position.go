package postgres

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/offsets"
)

// Message types as offsets name them (Debezium, ReplicationMessage.Operation).
const (
	typeInsert   = "INSERT"
	typeUpdate   = "UPDATE"
	typeDelete   = "DELETE"
	typeTruncate = "TRUNCATE"
	typeMessage  = "MESSAGE"
	typeBegin    = "BEGIN"
	typeCommit   = "COMMIT"
)

// position is the offset of a Postgres source: what the reference calls PostgresOffsetContext. Zero members are not written.
type position struct {
	proc   uint64 // lsn_proc: the last completely processed position
	kind   string // messageType of the last event
	commit uint64 // lsn_commit: behind the last commit that was delivered; inside a transaction the one before it
	lsn    uint64 // of the last event
	txID   int64
	micros int64 // ts_usec: when the last transaction was committed, µs since 1970

	snapshot  bool // rows of a snapshot: the members below are written
	last      bool // last_snapshot_record
	completed bool // snapshot_completed

	stored offsets.Offset // what it was parsed from, or handed out as, for the members of transaction metadata; "": neither
}

// offset renders the position with the reference's members in the reference's order; txns may be nil.
func (p *position) offset(txns *changes.Transactions) offsets.Offset {
	b := make([]byte, 0, 160)
	if p.snapshot {
		b = append(b, `{"last_snapshot_record":`...)
		b = strconv.AppendBool(b, p.last)
		b = appendMember(b, `,"lsn":`, int64(p.lsn))
		b = appendMember(b, `,"txId":`, p.txID)
		b = appendMember(b, `,"ts_usec":`, p.micros)
		b = append(b, `,"snapshot":"INITIAL","snapshot_completed":`...)
		b = strconv.AppendBool(b, p.completed)
		return offsets.Offset(append(b, '}'))
	}
	b = appendMember(txns.AppendID(b), `,"lsn_proc":`, int64(p.proc))
	if p.kind != "" {
		b = append(append(append(b, `,"messageType":"`...), p.kind...), '"')
	}
	b = appendMember(b, `,"lsn_commit":`, int64(p.commit))
	b = appendMember(b, `,"lsn":`, int64(p.lsn))
	b = appendMember(b, `,"txId":`, p.txID)
	b = txns.AppendCounts(b)
	b = appendMember(b, `,"ts_usec":`, p.micros)
	if len(b) == 0 {
		return "{}"
	}
	b[0] = '{'
	return offsets.Offset(append(b, '}'))
}

func appendMember(b []byte, name string, v int64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), v, 10)
}

// parsePosition reads an offset of this connector or of any version of the reference. Members that are not known are ignored.
func parsePosition(o offsets.Offset) (position, error) {
	var m struct {
		Proc      *int64          `json:"lsn_proc"`
		Kind      *string         `json:"messageType"`
		Commit    *int64          `json:"lsn_commit"`
		LSN       *int64          `json:"lsn"`
		TxID      *int64          `json:"txId"`
		Micros    *int64          `json:"ts_usec"`
		Snapshot  json.RawMessage `json:"snapshot"` // INITIAL, BLOCKING, …; true in older versions
		Last      *bool           `json:"last_snapshot_record"`
		Completed *bool           `json:"snapshot_completed"`
	}
	if err := json.Unmarshal([]byte(o), &m); err != nil {
		return position{}, fmt.Errorf("parse stored offset %s: %w", o, err)
	}
	p := position{
		proc: uint64(or(m.Proc, 0)), kind: or(m.Kind, ""), commit: uint64(or(m.Commit, 0)), lsn: uint64(or(m.LSN, 0)), txID: or(m.TxID, 0), micros: or(m.Micros, 0),
		last: or(m.Last, false), completed: or(m.Completed, false),
	}
	if strings.Trim(p.kind, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" { // it is written as it is
		return position{}, fmt.Errorf("parse stored offset %s: messageType %q is none", o, p.kind)
	}
	switch string(m.Snapshot) {
	case "", "null", "false", `"false"`, `"FALSE"`:
	default:
		p.snapshot = true
		// Versions that did not write snapshot_completed marked the end by the last record.
		if m.Completed == nil {
			p.completed = p.last
		}
	}
	return p, nil
}

func or[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

// unfinished tells that a snapshot was under way.
func (p *position) unfinished() bool { return p.snapshot && !p.completed }

// text is the offset as it was stored or handed out, with what was counted in its transaction.
func (p *position) text() offsets.Offset {
	if p.stored != "" {
		return p.stored
	}
	return p.offset(nil)
}

// confirmable is up to where the slot can be confirmed when the position is durable (I7). 0: nothing yet.
func (p *position) confirmable() uint64 {
	switch {
	case p.unfinished():
		return 0
	case p.commit > 0:
		return p.commit
	case p.proc > 0:
		return p.proc
	}
	return p.lsn
}

// delivered is the position of the last commit that reached the targets, in whole or in part: what a server must have to go
// on. The row of a transaction may lie before its commit record by any distance, so that only id tells it exactly.
func (p *position) delivered(id identity) uint64 {
	if id.own && id.Commit > 0 {
		return id.Commit
	}
	return max(p.lsn, 1) - 1
}

// reached is up to where a server must have its log to go on.
func (p *position) reached(id identity) uint64 { return max(p.delivered(id)+1, p.confirmable()) }

// movedTo is the position at lsn, with nothing delivered behind it.
func (p *position) movedTo(lsn uint64) position {
	return position{proc: lsn, kind: typeCommit, commit: lsn, lsn: lsn, txID: p.txID, micros: p.micros}
}

// resume is what to leave out when the server sends a transaction again.
type resume struct {
	xid   uint32
	lsn   uint64
	whole bool // all messages at lsn were delivered (I3); otherwise unknown
	count int  // how many messages at lsn were delivered, when that is known and not all
	alone bool // a message outside of any transaction at lsn was delivered
}

// inTx tells that a transaction was delivered in part.
func (r *resume) inTx() bool { return r.lsn > 0 && !r.alone }

// resumeAt returns what to leave out after a stored position. own tells that the position was written by this
// connector, which never stops inside a group of messages with one LSN (I3).
func (p *position) resumeAt(own bool) resume {
	switch {
	case p.snapshot || p.kind == "" || p.kind == typeCommit || p.kind == typeBegin:
		return resume{}
	case p.txID == 0 && p.kind == typeMessage:
		return resume{lsn: p.lsn, alone: true}
	}
	return resume{xid: uint32(p.txID), lsn: p.lsn, whole: own}
}

// identity is what is remembered beside the offset, in an entry of its own.
type identity struct {
	System   string `json:"system"`          // system identifier of the server
	Timeline uint32 `json:"timeline"`        // at the time of the offset
	Commit   uint64 `json:"commit"`          // commit record of the last transaction that was delivered in whole or in part; 0: not known
	Offset   string `json:"offset"`          // the plain offset it belongs to; another one there: somebody else wrote since
	Asked    string `json:"asked,omitempty"` // options with which the server sent that commit: with others it need not send it again
	own      bool   // the plain offset is that one
}

// partitionOf is the partition of the offset: {"server":"<topic.prefix>"}.
func partitionOf(prefix string) (offsets.Partition, error) {
	name, err := json.Marshal(prefix)
	if err != nil {
		return "", fmt.Errorf("encode topic.prefix: %w", err)
	}
	return offsets.Canonical([]byte(`{"server":` + string(name) + `}`))
}

// identityPartition is the partition under which the identity is stored.
func identityPartition(plain offsets.Partition) (offsets.Partition, error) {
	return offsets.Canonical([]byte(string(plain[:len(plain)-1]) + `,"freshet":"state"}`))
}

func (i *identity) offset(o offsets.Offset) offsets.Offset {
	b := make([]byte, 0, len(o)*5/4+256)
	b = changes.AppendJSONText(append(b, `{"system":`...), i.System)
	b = strconv.AppendUint(append(b, `,"timeline":`...), uint64(i.Timeline), 10)
	b = strconv.AppendUint(append(b, `,"commit":`...), i.Commit, 10)
	b = changes.AppendJSONText(append(b, `,"offset":`...), string(o))
	if i.Asked != "" {
		b = changes.AppendJSONText(append(b, `,"asked":`...), i.Asked)
	}
	return offsets.Offset(append(b, '}'))
}

func parseIdentity(o offsets.Offset) (identity, error) {
	var i identity
	if err := json.Unmarshal([]byte(o), &i); err != nil {
		return identity{}, fmt.Errorf("parse stored state %s: %w", o, err)
	}
	return i, nil
}
