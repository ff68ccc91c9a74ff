//go:build linux

package main

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	got, err := parseStat("42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 20 10 20 0 1 0 5 6 7")
	want := processStat{pid: 42, parent: 7, own: 2 * time.Second, reaped: 300 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, text := range []string{"", "42 no name S 7", "42 (short) S 7"} {
		if _, err := parseStat(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// TestTreeCPU shows that descendants count, whatever the order of the list, and others do not.
func TestTreeCPU(t *testing.T) {
	t.Parallel()
	all := []processStat{
		{pid: 3, parent: 2, own: time.Second},
		{pid: 2, parent: 1, own: time.Second, reaped: time.Second},
		{pid: 1, own: time.Second},
		{pid: 4, parent: 9, own: time.Hour},
	}
	if got := treeCPU(all, 1); got != 4*time.Second {
		t.Errorf("%s, want 4s", got)
	}
}

func TestOwnProcess(t *testing.T) {
	t.Parallel()
	now, peak, err := memory(os.Getpid())
	if err != nil || now < 1<<20 || peak < now {
		t.Errorf("resident set %d, highest %d, %v", now, peak, err)
	}
	if _, err := processCPU(os.Getpid()); err != nil {
		t.Error(err)
	}
	if i := slices.IndexFunc(processes(), func(p processStat) bool { return p.pid == os.Getpid() }); i < 0 {
		t.Error("this process is not in the list")
	}
}

func TestListening(t *testing.T) {
	t.Parallel()
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   100        0 111 1 0 100 0 0 10 0
   1: 0100007F:1538 0100007F:9000 01 00000000:00000000 00:00000000 00000000   100        0 222 1 0 20 4 30 10 -1
   2: 0100007F:1539 00000000:0000 0A 00000000:00000000 00:00000000 00000000   100        0 333 1 0 100 0 0 10 0
`
	if got := listening(table, 5432); !slices.Equal(got, []string{"111"}) {
		t.Errorf("sockets %v, want 111", got)
	}
}

func TestCountBatches(t *testing.T) {
	t.Parallel()
	batch := func(base, records int, attributes uint16) []byte {
		b := make([]byte, 61+10)
		binary.BigEndian.PutUint64(b, uint64(base))
		binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
		b[16] = 2
		binary.BigEndian.PutUint16(b[21:], attributes)
		binary.BigEndian.PutUint32(b[23:], uint32(records-1))
		binary.BigEndian.PutUint32(b[57:], uint32(records))
		return b
	}
	const transactional, control = 1 << 4, 1 << 5
	log := slices.Concat(batch(0, 7, 0), batch(7, 5, transactional), batch(12, 1, transactional|control))
	records, after, err := countBatches(log)
	if err != nil || records != 12 || after != 13 {
		t.Errorf("%d records, next %d, %v; want 12, 13", records, after, err)
	}
	records, after, err = countBatches(log[:len(log)-1])
	if err != nil || records != 12 || after != 12 {
		t.Errorf("cut off: %d records, next %d, %v; want 12, 12", records, after, err)
	}
	if _, _, err := countBatches(make([]byte, 100)); err == nil {
		t.Error("zeros were accepted")
	}
}
