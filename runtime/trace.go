package runtime

import (
	"errors"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// BatchTrace is the way of one batch into one sink. Batches without records have none.
type BatchTrace struct {
	Connector, Sink string
	Task            int
	Records, Bytes  int // bytes as they lie in memory
	Partition       offsets.Partition
	Offset          offsets.Offset // behind the last record; "": none
	Committed       time.Time      // its oldest transaction, in the source; zero: not known
	Taken           time.Time      // from the source
	Ended           time.Time      // when it was durable, or was given up
	Err             error          // why it was given up
}

// Tracer is told of every batch when it is durable or given up. It must not block. Safe from any goroutine.
type Tracer interface{ Batch(BatchTrace) }

// traced notes a batch that a sink is about to take.
func (s *sinkRun) traced(b *connectors.Batch) {
	if len(b.Records) == 0 {
		return
	}
	t := BatchTrace{
		Connector: s.run.connector, Task: s.run.task, Sink: s.name(), Records: len(b.Records), Bytes: b.Size(),
		Partition: b.Source, Offset: b.Offset, Taken: s.taken,
	}
	if b.Committed > 0 {
		t.Committed = time.UnixMicro(b.Committed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.traces == nil {
		s.traces = map[connectors.BatchID]BatchTrace{}
	}
	s.traces[b.ID] = t
}

// trace tells the tracer that a batch is durable, or why it was given up.
func (s *sinkRun) trace(id connectors.BatchID, err error) {
	s.mu.Lock()
	t, ok := s.traces[id]
	delete(s.traces, id)
	s.mu.Unlock()
	if ok {
		t.Ended, t.Err = time.Now(), err
		s.run.tracer.Batch(t)
	}
}

var errGivenUp = errors.New("the task ended before the batch was durable; it is sent again")

// endTraces gives up what is left when the instance has ended.
func (t *instance) endTraces(err error) {
	if t.tracer == nil {
		return
	}
	if err == nil {
		err = errGivenUp
	}
	for _, s := range t.sinks {
		s.mu.Lock()
		ids := make([]connectors.BatchID, 0, len(s.traces))
		for id := range s.traces {
			ids = append(ids, id)
		}
		s.mu.Unlock()
		for _, id := range ids {
			s.trace(id, err)
		}
	}
}
