package herder

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/freshet-io/freshet/runtime"
)

// TestLifeOfAConnector follows scenario 04 of the recordings.
func TestLifeOfAConnector(t *testing.T) {
	w, ctx := newWorld(t, nil), context.Background()
	info, err := w.Create(ctx, " a\t", props("file", "f"), "")
	w.ok(err)
	if info.Name != "a" || info.Config["name"] != "a" || len(info.Tasks) != 0 || info.Type != "source" {
		t.Errorf("got %+v", info)
	}
	_, err = w.Create(ctx, "a", props(), "")
	w.is(err, runtime.Conflict, "Connector a already exists")
	w.reaches("a", "RUNNING RUNNING")
	if names, err := w.Names(ctx); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("got %v, %v", names, err)
	}
	tasks, err := w.Tasks(ctx, "a")
	w.ok(err)
	if len(tasks) != 1 || tasks[0].Config["task.class"] != "org.apache.kafka.connect.file.FileStreamSourceTask" || tasks[0].Config["file"] != "f" || tasks[0].Config["name"] != "a" {
		t.Errorf("got %+v", tasks)
	}
	w.ok(w.Pause(ctx, "a"))
	w.reaches("a", "PAUSED PAUSED")
	w.ok(w.Restart(ctx, "a"))
	w.ok(w.Resume(ctx, "a"))
	w.reaches("a", "RUNNING RUNNING")
	if got := w.source.starts(); len(got) != 1 {
		t.Errorf("started %v", got)
	}
	w.until("its position is stored", func() bool { o, err := w.Offsets(ctx, "a"); return err == nil && len(o) == 1 })
	if o, _ := w.Offsets(ctx, "a"); string(o[0].Partition) != `{"filename":"f"}` || string(o[0].Offset) != `{"position":17}` {
		t.Errorf("got %s %s", o[0].Partition, o[0].Offset)
	}
	_, err = w.ResetOffsets(ctx, "a")
	w.is(err, runtime.BadRequest, "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/a/stop' endpoint")
	w.ok(w.Stop(ctx, "a"))
	w.reaches("a", "STOPPED")
	if e, ok := errors.AsType[*NotLeader](w.RestartTask(ctx, "a", 0)); !ok || e.URL != "" {
		t.Errorf("a task of a stopped connector: %v", e)
	}
	message, err := w.AlterOffsets(ctx, "a", []OffsetEntry{{[]byte(`{"filename": "f"}`), []byte(`{"position": 5}`)}})
	if err != nil || message != "The offsets for this connector have been altered successfully" {
		t.Errorf("got %s, %v", message, err)
	}
	if o, _ := w.Offsets(ctx, "a"); len(o) != 1 || string(o[0].Offset) != `{"position":5}` {
		t.Errorf("got %s", o)
	}
	message, err = w.ResetOffsets(ctx, "a")
	if err != nil || message != "The offsets for this connector have been reset successfully" {
		t.Errorf("got %s, %v", message, err)
	}
	w.ok(w.Resume(ctx, "a"))
	w.reaches("a", "RUNNING RUNNING")
	w.ok(w.RestartTask(ctx, "a", 0))
	w.until("started again", func() bool { return len(w.source.starts()) == 3 })
	w.reaches("a", "RUNNING RUNNING")
	status, err := w.RestartWith(ctx, "a", true, false)
	w.ok(err)
	if status.Connector.State != runtime.Restarting || status.Tasks[0].State != runtime.Restarting {
		t.Errorf("got %+v", status)
	}
	w.until("started again", func() bool { return len(w.source.starts()) == 4 })
	_, created, err := w.Put(ctx, "a", props("file", "g"))
	if err != nil || created {
		t.Errorf("got %v, %v", created, err)
	}
	w.until("the new one runs", func() bool { return slices.Contains(w.source.starts(), "a-0 g") })
	info, err = w.Patch(ctx, "a", Properties{"batch.size": ptr("7"), "file": ptr("h")})
	if err != nil || info.Config["batch.size"] != "7" || len(info.Tasks) != 1 {
		t.Errorf("got %+v, %v", info, err)
	}
	w.until("the new one runs", func() bool { return slices.Contains(w.source.starts(), "a-0 h") })
	if s := w.Stats(); s.Connectors != 1 || s.Startups == 0 || s.StartupFailures != 0 || s.Rebalances == 0 || s.Epoch == 0 || !s.Leader || s.LastRebalance.IsZero() {
		t.Errorf("got %+v", s)
	}
	w.ok(w.Delete(ctx, "a"))
	w.until("it is gone", func() bool { _, err := w.Status(ctx, "a"); return err != nil && len(w.Running()) == 0 })
	if left, _ := w.Names(ctx); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestTextOfAConfiguration: as in step patch-remove-class of scenario 04.
func TestTextOfAConfiguration(t *testing.T) {
	p := Properties{"file": ptr("f"), "tasks.max": ptr("1"), "batch.size": ptr("11"), "name": ptr("n"), "topic": ptr("t"), "errors.log.enable": ptr("true")}
	if got := p.text(); got != "{file=f, tasks.max=1, batch.size=11, name=n, topic=t, errors.log.enable=true}" {
		t.Errorf("got %s", got)
	}
}
