package mysql

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// position is the offset of a MySQL source: what the reference calls BinlogOffsetContext. Zero members are not written, but
// for file and pos.
type position struct {
	file     string
	pos      uint64 // where the open transaction begins; outside of one, behind the last event
	event    int64  // events since (and with) BEGIN that were delivered
	row      int64  // rows of the event after those that were delivered
	gtids    string // completed before the open transaction; "": none, or the server has none
	serverID uint32 // of the server on which the last event was written
	seconds  int64  // ts_sec: of the last change, since 1970
	snapshot string // INITIAL or BLOCKING while a snapshot is under way; "": none is
}

// offset renders the position with the reference's members in the reference's order; txns may be nil.
func (p *position) offset(txns *changes.Transactions) offsets.Offset {
	return offsets.Offset(p.append(make([]byte, 0, 192+len(p.gtids)), txns))
}

func (p *position) append(b []byte, txns *changes.Transactions) []byte {
	from := len(b)
	b = txns.AppendID(b)
	b = appendMember(b, `,"ts_sec":`, p.seconds)
	b = appendText(b, `,"file":`, p.file)
	b = strconv.AppendUint(append(b, `,"pos":`...), p.pos, 10)
	if p.gtids != "" {
		b = appendText(b, `,"gtids":`, p.gtids)
	}
	b = appendMember(b, `,"row":`, p.row)
	b = appendMember(b, `,"server_id":`, int64(p.serverID))
	b = txns.AppendCounts(appendMember(b, `,"event":`, p.event))
	if p.snapshot != "" {
		b = appendText(b, `,"snapshot":`, p.snapshot)
	}
	b[from] = '{'
	return append(b, '}')
}

func appendMember(b []byte, name string, v int64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), v, 10)
}

func appendText(b []byte, name, v string) []byte {
	return changes.AppendJSONText(append(b, name...), v)
}

// parsePosition reads an offset of this connector or of any version of the reference. Members that are not known are ignored.
func parsePosition(o offsets.Offset) (position, error) {
	var m struct {
		File      *string         `json:"file"`
		Pos       int64           `json:"pos"`
		Event     int64           `json:"event"`
		Row       int64           `json:"row"`
		GTIDs     string          `json:"gtids"`
		ServerID  int64           `json:"server_id"`
		Seconds   int64           `json:"ts_sec"`
		Snapshot  json.RawMessage `json:"snapshot"` // INITIAL, BLOCKING, …; true in older versions
		Completed bool            `json:"snapshot_completed"`
	}
	if err := json.Unmarshal([]byte(o), &m); err != nil {
		return position{}, fmt.Errorf("parse stored offset %s: %w", o, err)
	}
	if m.File == nil {
		return position{}, fmt.Errorf("parse stored offset %s: Source offset 'file' parameter is missing", o)
	}
	if m.Pos < 0 || m.Event < 0 || m.Row < 0 {
		return position{}, fmt.Errorf("parse stored offset %s: pos, event and row cannot be negative", o)
	}
	p := position{
		file: *m.File, pos: uint64(m.Pos), event: m.Event, row: m.Row, serverID: uint32(m.ServerID), seconds: m.Seconds,
		gtids: strings.NewReplacer("\n", "", "\r", "").Replace(m.GTIDs),
	}
	switch kind := strings.Trim(string(m.Snapshot), `"`); strings.ToUpper(kind) {
	case "", "NULL", "FALSE":
	case "TRUE":
		p.snapshot = "INITIAL"
	default:
		p.snapshot = strings.ToUpper(kind)
	}
	if m.Completed || p.snapshot == "INCREMENTAL" {
		p.snapshot = ""
	}
	return p, nil
}

// unfinished tells that an initial snapshot was under way.
func (p *position) unfinished() bool { return p.snapshot == "INITIAL" }

// fileNumber is the number at the end of a binlog file's name; 0 for none.
func fileNumber(name string) uint32 {
	n, err := strconv.ParseUint(name[strings.LastIndexByte(name, '.')+1:], 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// order is the order of a change: the minor counts the rows of the transaction that begins at file and pos. No transaction begins beyond
// 4 GiB of a file, which ends with the one that makes it larger than 1 GiB.
func order(epoch uint32, file string, pos uint64, minor uint32) connectors.Order {
	return connectors.Order{Epoch: epoch, Major: uint64(fileNumber(file))<<32 | min(pos, math.MaxUint32), Minor: minor}
}

// compare tells whether p lies before or behind q in the log of one server.
func (p *position) compare(q *position) int {
	return cmp.Or(cmp.Compare(fileNumber(p.file), fileNumber(q.file)), cmp.Compare(p.pos, q.pos), cmp.Compare(p.event, q.event), cmp.Compare(p.row, q.row))
}

// identity is what is remembered beside the offset, in an entry of its own.
type identity struct {
	Server  string `json:"server"`            // server_uuid; of MariaDB its server_id
	Epoch   uint32 `json:"epoch"`             // grows when the server changes or its file numbers fall
	Created int64  `json:"created,omitempty"` // when the binlog file of the position was made, seconds since 1970; 0: not known
	GTID    string `json:"gtid,omitempty"`    // of the last transaction that was delivered in whole or in part
	Rows    int64  `json:"rows,omitempty"`    // of that transaction, when it was delivered in part: rows that were read of it, left out ones too
	Restart string `json:"restart,omitempty"` // an offset that says more exactly than Offset where to go on on this server; "": Offset does
	Offset  string `json:"offset"`            // the plain offset it belongs to; another one there: somebody else wrote since
	own     bool   // the plain offset is that one
}

// offset renders the identity that stands beside o.
func (i *identity) offset(o offsets.Offset) offsets.Offset {
	i.Offset = string(o)
	return offsets.Offset(i.append(make([]byte, 0, 256+2*len(o))))
}

func (i *identity) append(b []byte) []byte {
	b = appendText(b, `{"server":`, i.Server)
	b = strconv.AppendUint(append(b, `,"epoch":`...), uint64(i.Epoch), 10)
	b = appendMember(b, `,"created":`, i.Created)
	if i.GTID != "" {
		b = appendText(b, `,"gtid":`, i.GTID)
	}
	b = appendMember(b, `,"rows":`, i.Rows)
	if i.Restart != "" {
		b = appendText(b, `,"restart":`, i.Restart)
	}
	return append(appendText(b, `,"offset":`, i.Offset), '}')
}

func parseIdentity(o offsets.Offset) (identity, error) {
	var i identity
	if err := json.Unmarshal([]byte(o), &i); err != nil {
		return identity{}, fmt.Errorf("parse stored state %s: %w", o, err)
	}
	return i, nil
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
