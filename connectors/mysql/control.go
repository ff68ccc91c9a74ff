package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

var errShortControl = errors.New("the event ends early")

func badEvent(what string, err error) error {
	return connectors.AsPermanent(fmt.Errorf("read %s event: %w", what, err))
}

// advance notes the position of an event. It never goes back within a file: when the server is asked by GTIDs, it begins with
// the file that has the first one that is missing, from its start.
func (s *stream) advance(e *logEvent) {
	if e.artificial() || e.end <= e.size && !heartbeatEvent(e.kind) {
		return
	}
	format := e.kind == replication.FORMAT_DESCRIPTION_EVENT
	if format && e.end != binlogStart+e.size { // made up for this connection
		return
	}
	end := s.high + uint64(e.end)
	if last := s.at + s.size; s.file == s.pos.file && end+1<<31 < last { // end_log_pos has 32 bits
		s.high += 1 << 32
		end += 1 << 32
	}
	s.size = uint64(e.size)
	s.at = end - min(s.size, end)
	if format {
		s.opened = end
	}
	if !s.tx.open && (s.pos.file != s.file || end > s.pos.pos) {
		s.pos.file, s.pos.pos, s.pos.event, s.pos.row = s.file, end, 0, 0
	}
}

// rotate goes on with another file. The server makes one up when a connection begins; it moves nothing when it names the file of
// the position.
func (s *stream) rotate(e *logEvent) error {
	if len(e.body) < 9 {
		return badEvent("ROTATE", errShortControl)
	}
	file, pos := string(e.body[8:]), binary.LittleEndian.Uint64(e.body)
	if file != s.file {
		s.created = 0
	}
	s.file, s.at, s.size, s.high = file, pos, 0, 0
	s.fileCell.build = 0
	s.tables, s.recent = map[uint64]*tracked{}, nil // numbers of tables may come again
	if file == s.pos.file && e.artificial() {
		return nil
	}
	s.endGroup()
	if s.resume.armed && s.done == nil { // by position, it would be in the file of the position
		s.log.Warn("the rest of a transaction that was delivered in part is not in the binlog any more", "file", s.pos.file, "pos", s.pos.pos)
		s.resume = resume{}
	}
	s.pos.file, s.pos.pos, s.pos.event, s.pos.row = file, pos, 0, 0
	return nil
}

// format reads when the file was made: another time for the file of the position is another file of that name.
func (s *stream) format(e *logEvent) error {
	if id := &s.handed.id; id.own && id.Created != 0 && e.time != 0 && s.file == s.handed.exact.file && id.Created != int64(e.time) {
		return &resetError{fmt.Sprintf("binlog file %s was made at %s, but the one that the stored offset names was made at %s: the server's binlog was reset (RESET MASTER, a restored backup)",
			s.file, stamp(int64(e.time)), stamp(id.Created))}
	}
	if e.time != 0 {
		s.created = int64(e.time)
	}
	return nil
}

// gtidEvent begins a transaction: flags, UUID, number, logical clock, then commit times.
func (s *stream) gtidEvent(e *logEvent) error {
	const fixed = 1 + 16 + 8
	b := e.body
	if len(b) < fixed {
		return badEvent("GTID", errShortControl)
	}
	if s.gtidOn {
		s.commitTime(e, originalTime(b[fixed:]))
	}
	if e.kind == replication.ANONYMOUS_GTID_EVENT {
		s.endGroup()
		s.done, s.later, s.counted = nil, nil, true // what has no GTID can only be found by position
		s.startGTID(gtid{})
		return nil
	}
	g := gtid{origin: s.current.origin, number: int64(binary.LittleEndian.Uint64(b[17:]))}
	if !sameUUID(g.origin, b[1:17]) {
		g.origin = formatUUID(b[1:17])
	}
	s.startGTID(g)
	return nil
}

// originalTime reads the time at which the first server committed, µs since 1970; 0: not given. b begins behind the number.
func originalTime(b []byte) int64 {
	const clock, width, original = 1 + 8 + 8, 7, 1 << 55
	if len(b) < clock+width || b[0] != 2 {
		return 0
	}
	t := uint56(b[clock:])
	if t&original == 0 {
		return t
	}
	if len(b) < clock+2*width {
		return 0
	}
	return uint56(b[clock+width:])
}

func uint56(b []byte) int64 {
	return int64(binary.LittleEndian.Uint32(b)) | int64(b[4])<<32 | int64(b[5])<<40 | int64(b[6])<<48
}

// taggedEvent is gtidEvent for the format that MySQL writes with a tag.
func (s *stream) taggedEvent(e *logEvent) error {
	t, err := readTagged(e.body)
	if err != nil {
		return badEvent("GTID_TAGGED", err)
	}
	if s.gtidOn {
		s.commitTime(e, t.original)
	}
	s.startGTID(gtid{origin: formatUUID(t.uuid[:]), tag: t.tag, number: t.number})
	return nil
}

// mariadbEvent is MariaDB's: it begins the transaction, too, for no BEGIN follows it.
func (s *stream) mariadbEvent(e *logEvent) error {
	if len(e.body) < 13 {
		return badEvent("GTID", errShortControl)
	}
	domain := strconv.FormatUint(uint64(binary.LittleEndian.Uint32(e.body[8:])), 10)
	s.startGTID(gtid{origin: domain, server: e.server, number: int64(binary.LittleEndian.Uint64(e.body))})
	s.announced = false
	s.beginGroup(true, -1)
	s.beginRecord(e)
	s.tx.standalone = e.body[12]&replication.BINLOG_MARIADB_FL_STANDALONE != 0
	return nil
}

func (s *stream) commitTime(e *logEvent, micros int64) {
	if micros == 0 {
		micros = int64(e.time) * 1e6
	}
	s.micros = micros
}

// startGTID notes the identifier of the transaction that follows. The one before it is complete, however it ended.
func (s *stream) startGTID(g gtid) {
	s.endGroup()
	s.complete()
	if s.done == nil {
		g = gtid{} // the server has no GTIDs, or they are not used
	}
	s.current, s.counted = g, g.none()
	s.announced, s.announcedAt = !g.none(), s.at
	s.gtid = s.gtid[:0]
	if !g.none() {
		s.gtid = g.append(s.gtid, s.mariadb)
	}
	s.gtidCell.build = 0
	s.tx.filtered = s.cfg.gtids.filterDML && !g.none() && !s.cfg.gtids.accepts(g.source(s.mariadb))
}

// source is what gtid.source.includes and gtid.source.excludes match.
func (g *gtid) source(mariadb bool) string {
	if mariadb {
		return g.origin + "-" + strconv.FormatUint(uint64(g.server), 10)
	}
	return g.origin
}

// accepts tells whether gtid.source.includes and gtid.source.excludes leave transactions of an origin in.
func (c *gtidConfig) accepts(source string) bool {
	if len(c.includes) > 0 {
		return c.includes.Match(source)
	}
	return !c.excludes.Match(source)
}

// beginGroup begins the events that belong together. open: the reference takes it for a transaction.
func (s *stream) beginGroup(open bool, thread int64) {
	filtered := s.tx.filtered
	s.endGroup()
	s.tx = transaction{
		open: open, group: true, file: s.file, start: s.at, minor: 1, thread: thread, filtered: filtered,
	}
	s.queryCell.build = 0
	if r := &s.resume; r.armed && r.gtid != "" && r.gtid != string(s.gtid) {
		s.log.Warn("the transaction that was delivered in part does not come first again", "gtid", r.gtid, "first", string(s.gtid))
		s.resume = resume{}
	}
	if open {
		s.pos.file, s.pos.pos, s.pos.event, s.pos.row = s.file, s.at, 0, 0
	}
}

// endGroup ends them: nothing of the group is still to come.
func (s *stream) endGroup() {
	if !s.tx.group {
		return
	}
	if s.tx.inBatch {
		r := s.b.Records()
		r[len(r)-1].Last = true
		if s.oldest == 0 {
			s.oldest = s.micros
		}
	}
	s.resume = resume{}
	s.tx = transaction{thread: -1}
}

// commit ends a transaction.
func (s *stream) commit(e *logEvent) {
	end := s.endRecord(e)
	within := s.pos
	s.endGroup()
	s.complete()
	s.pos.file, s.pos.pos, s.pos.event, s.pos.row = s.file, s.at+s.size, 0, 0
	if end {
		s.mark = s.place(s.pos)
		s.mark.pos, s.mark.meta = within, true
	}
}

// queryEvent is what a QUERY event says.
type queryEvent struct {
	thread   uint32
	status   []byte // status variables
	database string
	text     []byte
}

// readQuery reads thread, time, lengths and error code, then status variables, database and statement.
func readQuery(e *logEvent, extra int) (q queryEvent, err error) {
	const fixed = 13
	b := e.body
	if len(b) < fixed+extra {
		return queryEvent{}, badEvent("QUERY", errShortControl)
	}
	q.thread = binary.LittleEndian.Uint32(b)
	schema, status := int(b[8]), int(binary.LittleEndian.Uint16(b[11:]))
	b = b[fixed+extra:]
	if len(b) < status+schema+1 {
		return queryEvent{}, badEvent("QUERY", errShortControl)
	}
	q.status, q.database, q.text = b[:status], string(b[status:status+schema]), b[status+schema+1:]
	if e.kind == replication.MARIADB_QUERY_COMPRESSED_EVENT {
		if q.text, err = new(rowsReader).inflate(q.text); err != nil {
			return queryEvent{}, badEvent("QUERY", err)
		}
	}
	return q, nil
}

// query handles a statement: of a transaction, or one that changes structure.
func (s *stream) query(ctx context.Context, e *logEvent) error {
	q, err := readQuery(e, 0)
	if err != nil {
		return err
	}
	text := bytes.TrimSpace(q.text)
	switch {
	case bytes.EqualFold(text, []byte("BEGIN")):
		if !s.mariadb || !s.tx.group {
			s.beginGroup(true, int64(q.thread))
			s.beginRecord(e)
		}
		return nil
	case bytes.EqualFold(text, []byte("COMMIT")):
		s.commit(e)
		return nil
	case bytes.EqualFold(text, []byte("ROLLBACK")):
		s.rollback(e)
		return nil
	}
	word, rest := keyword(text)
	switch word {
	case "XA":
		s.xa(e, rest)
		return nil
	case "SAVEPOINT":
		return nil
	case "ROLLBACK":
		if s.tx.inBatch || s.tx.records {
			s.log.Warn("a transaction went back to a savepoint after changes that are in the binlog and were delivered; those of transactional tables did not happen",
				"file", s.file, "pos", s.at, "statement", string(text))
		}
		return nil
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH":
		return s.dml(&q, word, rest)
	}
	return s.ddl(ctx, e, &q)
}

// rollback ends a transaction that has changes of tables without transactions, which stay.
func (s *stream) rollback(e *logEvent) {
	if s.tx.inBatch || s.tx.records {
		s.log.Warn("a transaction was rolled back after changes that are in the binlog and were delivered, since it changed tables without transactions, too; "+
			"those of transactional tables did not happen", "file", s.file, "pos", s.at, "gtid", string(s.gtid))
	}
	s.commit(e)
}

// xa handles the statements of a distributed transaction. Its rows are delivered when it is prepared, as in the reference;
// COMMIT and ROLLBACK come later, as groups of their own.
func (s *stream) xa(e *logEvent, rest []byte) {
	switch word, _ := keyword(rest); word {
	case "START", "BEGIN":
		if !s.tx.group { // MariaDB's GTID has begun it
			s.beginGroup(false, -1)
		}
	case "COMMIT", "ROLLBACK":
		if s.tx.group { // MariaDB: nothing follows
			s.commit(e)
		}
	}
}

// dml handles a statement that changed rows without row events. It is an error when it may have changed a captured table: its rows
// are not in the binlog.
func (s *stream) dml(q *queryEvent, word string, rest []byte) error {
	id, known := target(q.database, word, rest)
	if known && !s.cfg.selection.Table(id) {
		return nil
	}
	what := "a table"
	if known {
		what = "table " + id.String()
	}
	return connectors.AsPermanent(fmt.Errorf("read the binlog: a statement changed %s at %s:%d and is in the binlog as a statement, without its rows (%s …): "+
		"set binlog_format=ROW on the server, for all sessions, and take a new snapshot; or leave the table out with table.exclude.list", what, s.file, s.at, word))
}

// loadQuery handles LOAD DATA that was logged as a statement.
func (s *stream) loadQuery(e *logEvent) error {
	q, err := readQuery(e, 13) // file and its place in the statement
	if err != nil {
		return err
	}
	word, rest := keyword(bytes.TrimSpace(q.text))
	return s.dml(&q, word, rest)
}

// statement keeps the statement that the rows of the next row events come from.
func (s *stream) statement(e *logEvent) {
	if !s.cfg.query {
		return
	}
	text := e.body
	if e.kind == replication.ROWS_QUERY_EVENT && len(text) > 0 {
		text = text[1:] // its length, when it fits into a byte
	}
	s.tx.query, s.queryCell.build = string(text), 0
}

// keyword returns the first word in upper case, without comments and MariaDB's SET STATEMENT … FOR before it, and what follows.
func keyword(text []byte) (string, []byte) {
	for {
		word, rest := firstWord(text)
		if word != "SET" {
			return word, rest
		}
		next, after := firstWord(rest)
		at := wordFor(after)
		if next != "STATEMENT" || at < 0 {
			return word, rest
		}
		text = after[at:]
	}
}

// wordFor is the place behind the first FOR, -1: there is none.
func wordFor(text []byte) int {
	const word = " FOR "
	for i := range max(len(text)-len(word)+1, 0) {
		if text[i] == ' ' && bytes.EqualFold(text[i:i+len(word)], []byte(word)) {
			return i + len(word)
		}
	}
	return -1
}

// firstWord is keyword for a text without SET STATEMENT.
func firstWord(text []byte) (string, []byte) {
	for {
		text = bytes.TrimLeft(text, " \t\r\n")
		switch {
		case bytes.HasPrefix(text, []byte("/*!")):
			text = bytes.TrimLeft(text[3:], "M0123456789")
			continue
		case bytes.HasPrefix(text, []byte("/*")):
			_, after, ok := bytes.Cut(text[2:], []byte("*/"))
			if !ok {
				return "", nil
			}
			text = after
			continue
		case bytes.HasPrefix(text, []byte("#")), bytes.HasPrefix(text, []byte("-- ")):
			_, text, _ = bytes.Cut(text, []byte("\n"))
			if text == nil {
				return "", nil
			}
			continue
		}
		n := 0
		for n < len(text) && (text[n] >= 'a' && text[n] <= 'z' || text[n] >= 'A' && text[n] <= 'Z' || text[n] == '_') {
			n++
		}
		return strings.ToUpper(string(text[:n])), text[n:]
	}
}

// target is the table that a statement changes, when it names one plainly.
func target(database, word string, rest []byte) (changes.TableID, bool) {
	for {
		next, after := keyword(rest)
		switch next {
		case "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE", "INTO", "FROM":
			rest = after
			continue
		}
		break
	}
	if word == "LOAD" {
		at := bytes.Index(bytes.ToUpper(rest), []byte("INTO TABLE"))
		if at < 0 {
			return changes.TableID{}, false
		}
		rest = rest[at+len("INTO TABLE"):]
	}
	if word == "WITH" {
		return changes.TableID{}, false
	}
	first, rest := name(bytes.TrimLeft(rest, " \t\r\n"))
	second := ""
	if len(rest) > 0 && rest[0] == '.' {
		second, rest = name(rest[1:])
	}
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if first == "" || len(rest) > 0 && rest[0] == ',' { // several tables
		return changes.TableID{}, false
	}
	switch next, _ := keyword(rest); next {
	case "JOIN", "INNER", "LEFT", "RIGHT", "CROSS", "NATURAL", "STRAIGHT_JOIN", "USING", "FROM":
		return changes.TableID{}, false
	}
	if second != "" {
		return changes.TableID{Catalog: first, Name: second}, true
	}
	return changes.TableID{Catalog: database, Name: first}, true
}

// name reads an identifier, in backquotes or without.
func name(b []byte) (string, []byte) {
	if len(b) > 0 && b[0] == '`' {
		end := bytes.IndexByte(b[1:], '`')
		if end < 0 {
			return "", nil
		}
		return string(b[1 : 1+end]), b[end+2:]
	}
	n := bytes.IndexAny(b, " \t\r\n.(,;")
	if n < 0 {
		n = len(b)
	}
	return string(b[:n]), b[n:]
}

func formatUUID(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// sameUUID compares without allocating.
func sameUUID(text string, b []byte) bool {
	if len(text) != 36 {
		return false
	}
	const digits = "0123456789abcdef"
	at := 0
	for _, v := range b {
		if text[at] == '-' {
			at++
		}
		if text[at] != digits[v>>4] || text[at+1] != digits[v&15] {
			return false
		}
		at += 2
	}
	return true
}
