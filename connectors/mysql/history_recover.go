package mysql

import (
	"fmt"
	"log/slog"
	"strings"
)

// stopPoint is the position to which a history is recovered. It compares as the reference does (BinlogHistoryRecordComparator): what was
// recorded at or before it is applied.
type stopPoint struct {
	position
	mariadb bool
	accepts func(origin string) bool // gtid.source.includes and excludes; nil: every one
	byFile  bool                     // gtid.ignore.on.recovery: GTIDs do not count
	log     *slog.Logger

	set      *gtidSet // of the position; nil: it has none
	recorded string   // gtids of the record before
	before   *gtidSet // what they say
	bases    map[string]bool
}

func newStopPoint(p position, mariadb bool, accepts func(string) bool, log *slog.Logger) (*stopPoint, error) {
	s := &stopPoint{position: p, mariadb: mariadb, accepts: accepts, log: log, bases: map[string]bool{}}
	if p.gtids == "" {
		return s, nil
	}
	var err error
	s.set, err = s.parse(p.gtids)
	return s, err
}

func (s *stopPoint) parse(gtids string) (*gtidSet, error) {
	set, err := parseGTIDSet(gtids, s.mariadb)
	if err == nil && s.accepts != nil {
		set = set.retain(s.accepts)
	}
	return set, err
}

// reached tells whether a record is applied; again, that its transaction follows the stop point, so that the server sends
// its statement another time when it is asked by GTIDs.
func (s *stopPoint) reached(p *position) (applied, again bool, err error) {
	if s.byFile || s.set == nil { // the server may have given up its GTIDs since the record was written
		return s.reachedInFile(p), false, nil
	}
	if p.gtids == "" {
		return true, false, nil
	}
	if s.before == nil || s.recorded != p.gtids {
		if s.before, err = s.parse(p.gtids); err != nil {
			return false, false, err
		}
		s.recorded = p.gtids
	}
	switch {
	case !s.before.within(s.set):
		return false, false, nil
	case !s.set.within(s.before):
		return true, false, nil
	case p.snapshot == "" && s.snapshot != "":
		return false, false, nil // the snapshot is older
	}
	return p.event <= s.event, p.snapshot == "", nil
}

func (s *stopPoint) reachedInFile(p *position) bool {
	if p.serverID != 0 && s.serverID != 0 && p.serverID != s.serverID { // a position of a snapshot has none
		return p.seconds <= s.seconds
	}
	if base := fileBase(p.file); base != fileBase(s.file) {
		if !s.bases[base] {
			s.bases[base] = true
			s.log.Warn(fmt.Sprintf("The schema history has statements of binlog files %s.*, and the position to recover is in %s: they cannot be compared. "+
				"The statements are applied; that is right after a restore or a new log_bin_basename, and may be wrong where servers take turns", base, s.file))
		}
		return true
	}
	return p.compare(&s.position) <= 0
}

// fileBase is the name of a binlog file without its number.
func fileBase(file string) string { return file[:max(strings.LastIndexByte(file, '.'), 0)] }
