package offsets

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTrackerAgainstModel compares with the plain reading of I2: the newest offset before the first unacknowledged batch, with
// the entries that go along, what a failed write gave back, and partitions that were lost and came again.
func TestTrackerAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{T: t, tracker: NewTracker(), done: map[Partition]Offset{}, stored: map[Partition]Offset{}, dirty: map[Partition]bool{}}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"add", "add", "add", "ack", "ack", "ack", "ack", "take", "drop"}).Draw(t, "step") {
			case "add":
				m.add()
			case "ack":
				if len(m.all) > 0 {
					m.ack(m.all[rapid.IntRange(0, len(m.all)-1).Draw(t, "ack")])
				}
			case "take":
				m.take()
			case "drop":
				if rapid.IntRange(0, 3).Draw(t, "lost") == 0 {
					m.drop(Partition(rapid.SampledFrom([]string{"p", "q"}).Draw(t, "p")))
				}
			}
			if got := m.tracker.InFlight(); got != m.inFlight() {
				t.Fatalf("%d batches are in flight, want %d", got, m.inFlight())
			}
		}
		m.save(m.tracker.Take())
		if !reflect.DeepEqual(m.stored, m.done) {
			t.Fatalf("stored %v, want %v", m.stored, m.done)
		}
	})
}

type tracked struct {
	id      uint64
	entry   Entry
	extra   []Entry
	missing int
	counted bool // its offset is part of done
	lost    bool
}

// model is the slow way: the whole list is looked at after every step.
type model struct {
	*rapid.T
	tracker *Tracker
	all     []*tracked
	done    map[Partition]Offset // what should be stored when everything is saved
	stored  map[Partition]Offset
	dirty   map[Partition]bool
}

func (m *model) add() {
	n := len(m.all)
	b := &tracked{id: uint64(n), missing: rapid.IntRange(0, 3).Draw(m.T, "acks")}
	b.entry.Partition = Partition(rapid.SampledFrom([]string{"p", "q"}).Draw(m.T, "p"))
	if rapid.IntRange(0, 4).Draw(m.T, "empty") > 0 {
		b.entry.Offset = Offset(fmt.Sprint(n))
	}
	if rapid.Bool().Draw(m.T, "extra") {
		e := Entry{Partition: b.entry.Partition + "/state"}
		if rapid.Bool().Draw(m.T, "state") {
			e.Offset = Offset(fmt.Sprint("s", n))
		}
		b.extra = []Entry{e}
	}
	m.all = append(m.all, b)
	m.tracker.Add(b.id, b.entry, b.missing, b.extra...)
	m.advance(b.entry.Partition)
}

func (m *model) ack(b *tracked) {
	before := fmt.Sprint(m.counted())
	b.missing--
	grew := m.tracker.Ack(b.id)
	m.advance(b.entry.Partition)
	if want := before != fmt.Sprint(m.counted()); grew != want {
		m.Fatalf("the tracker says %v: some prefix grew", grew)
	}
}

// advance counts every batch before the first one that is not acknowledged.
func (m *model) advance(p Partition) {
	for _, b := range m.all {
		switch {
		case b.entry.Partition != p || b.lost || b.counted:
			continue
		case b.missing > 0:
			return
		}
		b.counted = true
		for _, e := range append([]Entry{b.entry}, b.extra...) {
			switch {
			case e.Offset != "":
				m.done[e.Partition] = e.Offset
			case e.Partition != p:
				delete(m.done, e.Partition)
			default:
				continue
			}
			m.dirty[e.Partition] = true
		}
	}
}

func (m *model) counted() (n int) {
	for _, b := range m.all {
		if b.counted {
			n++
		}
	}
	return n
}

func (m *model) inFlight() (n int) {
	for _, b := range m.all {
		if b.missing > 0 && !b.lost {
			n++
		}
	}
	return n
}

func (m *model) take() {
	taken := m.tracker.Take()
	if !slices.IsSortedFunc(taken, func(a, b Entry) int { return strings.Compare(string(a.Partition), string(b.Partition)) }) {
		m.Fatalf("not sorted: %v", taken)
	}
	if len(taken) != len(m.dirty) {
		m.Fatalf("took %v, but %v moved", taken, m.dirty)
	}
	if rapid.IntRange(0, 2).Draw(m.T, "fails") > 0 {
		m.save(taken)
		return
	}
	for range rapid.IntRange(0, 3).Draw(m.T, "meanwhile") {
		switch step := rapid.SampledFrom([]string{"ack", "ack", "add", "drop"}).Draw(m.T, "step"); {
		case step == "add":
			m.add()
		case step == "drop":
			m.drop("p")
		case len(m.all) > 0:
			m.ack(m.all[rapid.IntRange(0, len(m.all)-1).Draw(m.T, "ack")])
		}
	}
	m.tracker.Putback(taken)
}

func (m *model) save(entries []Entry) {
	for _, e := range entries {
		if !m.dirty[e.Partition] {
			m.Fatalf("%v did not move", e)
		}
		m.stored[e.Partition] = e.Offset
		if e.Offset == "" {
			delete(m.stored, e.Partition)
		}
	}
	clear(m.dirty)
}

// drop loses a partition: what is stored stays, and nothing of it is written any more.
func (m *model) drop(p Partition) {
	m.tracker.Drop(p)
	for _, b := range m.all {
		b.lost = b.lost || b.entry.Partition == p
	}
	for _, x := range []Partition{p, p + "/state"} {
		delete(m.dirty, x)
		delete(m.done, x)
		if o, ok := m.stored[x]; ok {
			m.done[x] = o
		}
	}
}
