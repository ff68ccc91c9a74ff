package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/connectors"
)

// adopt goes on by GTIDs where the stream was by position until now: a binlog file begins with the transactions that are done before it.
func (s *stream) adopt(e *logEvent) {
	if s.done != nil || !s.adopts || s.tx.group || s.resume.armed || e.artificial() || s.at != s.opened {
		return
	}
	set, err := doneBefore(e.body, s.mariadb)
	if err != nil {
		s.log.Warn("cannot read which transactions are done, going on by position", "file", s.file, "error", err.Error())
		return
	}
	if !set.empty() {
		s.log.Info("going on by GTIDs", "file", s.file, "gtids", set.String())
		s.done = set
	}
}

// doneBefore reads PREVIOUS_GTIDS (MySQL) or GTID_LIST (MariaDB).
func doneBefore(body []byte, mariadb bool) (*gtidSet, error) {
	if mariadb {
		c := cursor{data: body}
		set := &gtidSet{mariadb: true}
		for n := c.fixed(4) & (1<<28 - 1); n > 0 && !c.short; n-- { // the high bits are flags
			domain, server, number := c.fixed(4), c.fixed(4), c.fixed(8)
			set.add(&gtid{origin: strconv.FormatUint(domain, 10), server: uint32(server), number: int64(number)})
		}
		if c.short {
			return nil, badEvent("GTID_LIST", errShortControl)
		}
		return set, nil
	}
	if len(body) < 8 || body[7] != 0 {
		return nil, errors.New("read PREVIOUS_GTIDS event: it has tags")
	}
	var previous replication.PreviousGTIDsEvent
	if err := previous.Decode(body); err != nil {
		return nil, fmt.Errorf("read PREVIOUS_GTIDS event: %w", err)
	}
	return parseGTIDSet(previous.GTIDSets, false)
}

// adoptNothing tells that no transaction is done: the server has executed none with a GTID, and the stream is at the end of its binlog.
func (s *stream) adoptNothing(found *server) bool {
	p, last := s.behind(), len(found.files)-1
	return s.done == nil && s.adopts && !s.tx.group && !s.resume.armed && found.executed.empty() && p.file == found.files[last] && p.pos >= found.sizes[last]
}

// lookPause is how often the server is asked who it is while it sends nothing: it does not tell a reader that its binlog was reset.
const lookPause = 30 * time.Second

// errQuiet asks for a look at the server.
var errQuiet = errors.New("nothing was sent for a while")

func (s *stream) lookDue() bool {
	if s.tx.group || time.Since(time.Unix(0, s.heard)) < lookPause || time.Since(s.looked) < lookPause {
		return false
	}
	s.looked = time.Now()
	return true
}

// look ends the binlog's connection when the server is not the one it was; the next one finds out what that means. A server that does not
// answer is not looked at: its connection tells.
func (t *source) look(ctx context.Context) error {
	found, err := t.ask(ctx)
	switch {
	case err != nil && (ctx.Err() != nil || t.class(err) != connectors.Retriable):
		return err
	case err != nil:
		t.log.Debug("cannot ask the server whether it is the one it was", "error", err.Error())
		return nil
	}
	t.stream.adopts = found.gtids && !t.cfg.gtids.ignore
	if t.stream.moved(found) {
		t.log.Warn("the server is not the one it was, or its binlog was reset: connecting again", "server", found.id)
		t.disconnect(0)
	}
	return nil
}
