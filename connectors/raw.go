package connectors

import "errors"

// Raw is a record as it lies in a Kafka topic. A dead-letter queue keeps it when it cannot be processed.
type Raw struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp int64 // ms since 1970, -1: none
	Key       []byte
	Value     []byte // nil is null, also for Key
	Headers   []RawHeader
}

// RawHeader is one header of a record; a nil Value is null.
type RawHeader struct{ Key, Value []byte }

// Stage is where a record failed, by Kafka Connect's names (org.apache.kafka.connect.runtime.errors.Stage).
type Stage string

// The stages.
const (
	StagePut             Stage = "TASK_PUT"
	StageTransformation  Stage = "TRANSFORMATION"
	StageKeyConverter    Stage = "KEY_CONVERTER"
	StageValueConverter  Stage = "VALUE_CONVERTER"
	StageHeaderConverter Stage = "HEADER_CONVERTER"
	StageProduce         Stage = "KAFKA_PRODUCE"
)

type staged struct {
	at  Stage
	err error
}

func (e *staged) Error() string { return e.err.Error() }
func (e *staged) Unwrap() error { return e.err }

// AtStage says in which stage the cause of a rejection arose, where that is not the sink's own.
func AtStage(at Stage, err error) error {
	if err == nil {
		return nil
	}
	return &staged{at, err}
}

// StageOf is the stage of a rejection's cause: StagePut when nothing else is said.
func StageOf(err error) Stage {
	if s := (*staged)(nil); errors.As(err, &s) {
		return s.at
	}
	return StagePut
}

// Raw keeps the raw form of the record committed last for as long as the batch lives. The slices are not copied, and are charged
// with Weigh.
func (w *Builder) Raw(r Raw) {
	for len(w.b.raws) < len(w.b.Records) {
		w.b.raws = append(w.b.raws, Raw{})
	}
	w.b.raws[len(w.b.Records)-1] = r
}

// Raw returns the raw form of a record, in a batch made by Derive that of its origin; false: it is not known. Sources keep it where
// Settings.KeepRaw asks for it.
func (b *Batch) Raw(record int) (*Raw, bool) {
	b = b.Origin()
	if record >= len(b.raws) || b.raws[record].Topic == "" {
		return nil, false
	}
	return &b.raws[record], true
}
