package postgres

import (
	"math"
	"testing"

	"github.com/freshet-io/freshet/offsets"
)

func TestPositionAsTheReferenceWritesIt(t *testing.T) {
	for _, text := range []offsets.Offset{
		`{"lsn_proc":422902280,"messageType":"DELETE","lsn_commit":422902200,"lsn":422902280,"txId":2683,"ts_usec":1795207406367092}`,
		`{"lsn_proc":458517968,"messageType":"INSERT","lsn":458517968,"txId":2861,"ts_usec":1795207523478069}`,
		`{"lsn_proc":541764912,"messageType":"MESSAGE","lsn_commit":541764912,"lsn":541764912,"ts_usec":1795207867221360}`,
		`{"lsn":449783504,"txId":2821,"ts_usec":1795207485637094}`,
		`{"last_snapshot_record":true,"lsn":458517928,"txId":2860,"ts_usec":1795207515565244,"snapshot":"INITIAL","snapshot_completed":true}`,
		`{"last_snapshot_record":false,"lsn":458517928,"txId":2860,"ts_usec":1795207515565244,"snapshot":"INITIAL","snapshot_completed":false}`,
	} {
		p, err := parsePosition(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.offset(nil); got != text {
			t.Errorf("got  %s\nwant %s", got, text)
		}
	}
}

func TestPositionOfOlderVersions(t *testing.T) {
	for _, c := range []struct {
		text        offsets.Offset
		unfinished  bool
		confirmable uint64
	}{
		{`{"snapshot":true,"lsn":10,"txId":1,"ts_usec":5}`, true, 0},
		{`{"snapshot":true,"last_snapshot_record":true,"lsn":10}`, false, 10},
		{`{"snapshot":null,"lsn":10,"lsn_proc":9}`, false, 9},
		{`{"snapshot":"BLOCKING","snapshot_completed":false,"lsn":10,"lsn_commit":3}`, true, 0},
		{`{"lsn":10,"lsn_proc":9,"lsn_commit":8,"transaction_id":"7","xmin":3}`, false, 8},
		{`{"lsn":null,"lsn_proc":null}`, false, 0},
	} {
		p, err := parsePosition(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if p.unfinished() != c.unfinished || p.confirmable() != c.confirmable {
			t.Errorf("%s: unfinished %v, confirmable %d", c.text, p.unfinished(), p.confirmable())
		}
	}
	if _, err := parsePosition(`{"lsn":"x"}`); err == nil {
		t.Error("an offset that is no offset was accepted")
	}
}

func TestIdentity(t *testing.T) {
	plain, err := partitionOf("orders")
	if err != nil || plain != `{"server":"orders"}` {
		t.Fatal(plain, err)
	}
	state, err := identityPartition(plain)
	if err != nil || state != `{"freshet":"state","server":"orders"}` {
		t.Fatal(state, err)
	}
	id := identity{System: "7412", Timeline: 3, Commit: 4}
	got, err := parseIdentity(id.offset(`{"lsn":5,"messageType":"INSERT"}`))
	if err != nil || got.System != "7412" || got.Timeline != 3 || got.Commit != 4 || got.Offset != `{"lsn":5,"messageType":"INSERT"}` {
		t.Fatal(got, err)
	}
	if got, err = parseIdentity(`{"system":"7412","timeline":3,"offset":"{}"}`); err != nil || got.Timeline != 3 || got.Commit != 0 {
		t.Fatal("a record without the commit:", got, err)
	}
}

func TestTimelines(t *testing.T) {
	history, err := parseHistory("1\t0/3000000\tno recovery target specified\n\n2\t0/5000000\tx\n")
	if err != nil {
		t.Fatal(err)
	}
	s := server{system: "1", timeline: 3, switches: history}
	for lsn, epoch := range map[uint64]uint32{0x1000000: 1, 0x2FFFFFF: 1, 0x3000000: 2, 0x4FFFFFF: 2, 0x5000000: 3, 0x9000000: 3} {
		if got := s.epoch(lsn); got != epoch {
			t.Errorf("epoch of %X: %d, want %d", lsn, got, epoch)
		}
	}
	for timeline, end := range map[uint32]uint64{1: 0x3000000, 2: 0x5000000, 3: math.MaxUint64, 0: math.MaxUint64} {
		if got := s.left(timeline); got != end {
			t.Errorf("timeline %d was left at %X, want %X", timeline, got, end)
		}
	}
	for _, c := range []struct {
		id   identity
		okay bool
	}{
		{identity{System: "1", Timeline: 3}, true},
		{identity{System: "1", Timeline: 1}, true},
		{identity{System: "1", Timeline: 7}, false},
		{identity{System: "2", Timeline: 3}, false},
		{identity{}, true},
	} {
		if problem := s.foreign(c.id); (problem == "") != c.okay {
			t.Errorf("%+v: %q", c.id, problem)
		}
	}
}

// The row that was delivered last may lie before the switch point of a promotion, and its commit record behind it.
func TestDeliveredIsTheCommitOfTheLastRow(t *testing.T) {
	row := position{proc: 0x2000000, kind: typeInsert, commit: 0x1000000, lsn: 0x2000000, txID: 7}
	for _, c := range []struct {
		p    position
		id   identity
		want uint64
	}{
		{row, identity{Commit: 0x3000000, own: true}, 0x3000000},
		{row, identity{Commit: 0x3000000}, 0x1FFFFFF}, // somebody else wrote since
		{row, identity{own: true}, 0x1FFFFFF},         // written before the commit was noted
		{row.movedTo(0x9000000), identity{Commit: 0x3000000, own: true}, 0x3000000},
		{position{}, identity{}, 0},
	} {
		if got := c.p.delivered(c.id); got != c.want {
			t.Errorf("%+v with %+v: %X, want %X", c.p, c.id, got, c.want)
		}
	}
}
