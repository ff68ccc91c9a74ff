package herder

import (
	"context"
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

// compact leaves the last record of each key.
func (l *hub) compact() {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := map[string]int{}
	for i, m := range l.configs {
		if before, ok := last[m.Key]; ok {
			l.configs[before] = Message{}
		}
		last[m.Key] = i
	}
}

// TestTasksBeforeTheirConnector reads logs whose first record of the connector is gone.
func TestTasksBeforeTheirConnector(t *testing.T) {
	config := connectors.Config{"name": "c"}
	tasks, connector := tasksMessages("c", []connectors.Config{config}), connectorMessage("c", config)
	fencing, deletion := Message{keyFencing + "c", encode(fencingRecord{1})}, Message{Key: keyConnector + "c"}
	stop := targetMessage("c", runtime.Stopped)
	for name, c := range map[string]struct {
		log  []Message
		want string // tasks, inherited, unfenced
	}{
		"put again":           {append(tasks[:2:2], connector), "1 true true"},
		"fenced":              {append(tasks[:2:2], fencing, connector), "1 true false"},
		"fenced before":       {append([]Message{fencing}, append(tasks[:2:2], connector)...), "1 true true"},
		"committed again":     {append(append(tasks[:2:2], connector), tasks...), "1 false true"},
		"deleted":             {append(tasks[:2:2], deletion, connector), "0 false false"},
		"made anew, stopped":  {append(tasks[:2:2], stop, connector), "0 false false"},
		"a task is not there": {append(tasks[1:2:2], connector), "0 true true"},
	} {
		d := newDesired()
		for i, m := range c.log {
			if _, err := d.apply(int64(i), m); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		e := d.connectors["c"]
		if got := fmt.Sprint(len(e.tasks), e.inherited, e.unfenced); got != c.want || e.inconsistent != (name == "a task is not there") {
			t.Errorf("%s: got %s, inconsistent %t, want %s", name, got, e.inconsistent, c.want)
		}
	}
	d := newDesired()
	for i, m := range tasks {
		_, _ = d.apply(int64(i), m)
	}
	d.goLive()
	_, _ = d.apply(2, connector)
	if e := d.connectors["c"]; len(e.tasks) != 0 {
		t.Errorf("a new connector has the tasks %v of a deleted one", e.tasks)
	}
}

// TestCompactedBehindAPut: a worker that reads the log without the connector's first record runs its tasks like those that have read it.
func TestCompactedBehindAPut(t *testing.T) {
	p, ctx := newPair(t, nil), context.Background()
	p.assign("", "")
	_, err := p.a.Create(ctx, "c", props(), "")
	p.a.ok(err)
	p.assign("c--1", "")
	p.a.until("planned", func() bool { return len(p.a.Work()) == 2 })
	p.assign("c--1 c-0", "")
	p.reaches("c", "RUNNING@a RUNNING@a")
	_, _, err = p.a.Put(ctx, "c", props())
	p.a.ok(err)
	p.a.until("it is settled", func() bool { return !p.a.holds("c") })
	p.b.end()
	p.compact()
	p.b = p.add("b", nil)
	p.assign("c--1", "c-0")
	p.reaches("c", "RUNNING@a RUNNING@b")
}

// TestCompactedBehindADeletion: what one worker takes for tasks of a connector that was made anew, and others know to be deleted, all know in the end.
func TestCompactedBehindADeletion(t *testing.T) {
	p, ctx := newPair(t, nil), context.Background()
	p.assign("", "c--1")
	_, err := p.a.Create(ctx, "c", props(), "")
	p.a.ok(err)
	p.a.until("planned", func() bool { return len(p.a.Work()) == 2 })
	p.a.ok(p.a.Delete(ctx, "c"))
	p.assign("", "")
	_, err = p.a.Create(ctx, "c", props(), runtime.Paused)
	p.a.ok(err)
	p.b.end()
	p.compact()
	p.b = p.add("b", nil)
	p.assign("", "c--1")
	p.a.ok(p.a.Resume(ctx, "c"))
	p.a.until("planned again", func() bool { return len(p.a.Work()) == 2 })
	p.assign("c-0", "c--1")
	p.reaches("c", "RUNNING@b RUNNING@a")
}
