package plugins

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// stuff fills a message with numbers and texts that a plugin should not send.
func stuff(r *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case r.IntN(3) == 0:
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOf(oddText(r)).MapKey(), scalar(r, f.MapValue()))
		case f.IsList():
			list := m.Mutable(f).List()
			for range r.IntN(4) {
				if f.Message() == nil {
					list.Append(scalar(r, f))
				} else if depth > 0 {
					item := list.NewElement()
					stuff(r, item.Message(), depth-1)
					list.Append(item)
				}
			}
		case f.Message() != nil:
			if depth > 0 {
				stuff(r, m.Mutable(f).Message(), depth-1)
			}
		default:
			m.Set(f, scalar(r, f))
		}
	}
}

func oddText(r *rand.Rand) string {
	return []string{"", "{", `{"p":1}`, `{"p":1,"p":2}`, "null", "[]", "x", "KEY_CONVERTER", "STRING", "INT", string(make([]byte, r.IntN(2000)))}[r.IntN(11)]
}

func scalar(r *rand.Rand, f protoreflect.FieldDescriptor) protoreflect.Value {
	n := []uint64{0, 1, 2, 3, 7, 1 << 20, 1 << 31, 1 << 63, 1<<64 - 1, r.Uint64()}[r.IntN(10)]
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOf(n%2 == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOf(protoreflect.EnumNumber(int32(n)))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOf(int32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		return protoreflect.ValueOf(int64(n))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOf(uint32(n))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOf(n)
	case protoreflect.StringKind:
		return protoreflect.ValueOf(oddText(r))
	}
	return protoreflect.ValueOf([]byte(oddText(r)))
}

// message reads what the fuzzer made, or when that is none, makes one of it.
func message(content []byte, to proto.Message) {
	if proto.Unmarshal(content, to) == nil {
		return
	}
	proto.Reset(to)
	seed := uint64(len(content))
	for _, b := range content {
		seed = seed*31 + uint64(b)
	}
	stuff(rand.New(rand.NewPCG(seed, 1)), to.ProtoReflect(), 3)
}

func seeds(f *testing.F) {
	f.Add([]byte{})
	for i := range 200 {
		f.Add([]byte{0xff, byte(i), byte(i >> 4)})
	}
}

// sourceHost answers as a worker that has nothing.
type sourceHost struct{ tb testing.TB }

func (sourceHost) NewBatch(_ context.Context, p offsets.Partition) (*connectors.Builder, error) {
	return connectors.NewBuilder(p, nil, nil), nil
}

func (sourceHost) Offsets(context.Context, ...offsets.Partition) ([]offsets.Entry, error) {
	return nil, nil
}
func (sourceHost) Reached(offsets.Partition) []connectors.Reached { return nil }
func (sourceHost) Anew(offsets.Partition)                         {}
func (sourceHost) State(context.Context, ...offsets.Partition) ([]offsets.Entry, error) {
	return nil, nil
}
func (sourceHost) Drain(context.Context, ...offsets.Partition) error { return nil }

func (h sourceHost) Remember(_ context.Context, list ...offsets.Entry) error {
	for _, e := range list {
		if _, err := offsets.Canonical([]byte(e.Partition)); err != nil {
			h.tb.Errorf("partition %q: %v", e.Partition, err)
		}
	}
	return nil
}

func (h sourceHost) Tolerate(_ context.Context, r *connectors.Raw, at connectors.Stage, cause error) error {
	if r == nil || at == "" || cause == nil || cause.Error() == "" {
		h.tb.Errorf("a record %v is tolerated at %q for %v", r, at, cause)
	}
	return nil
}

// sound is a process that was never started: what would end it is remembered.
func sound() *process {
	c := &Command{Path: "/plugin"}
	return &process{command: c, child: newChild(c, slog.New(slog.DiscardHandler), nil)}
}

// FuzzCall: whatever a source says, the worker is told only what can be.
func FuzzCall(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond) // for what waits for batches
		defer cancel()
		call := &pluginpb.Call{}
		message(content, call)
		source := newSource(&Command{}, &connectors.Description{Config: hidden}, nil, connectors.Settings{}).(*source) //nolint:errcheck,forcetypeassert // it is one
		source.session = sourceHost{t}
		source.answer(ctx, call)

		session := &connectortest.Session{Tolerant: true}
		sink := newSink(&Command{}, &connectors.Description{Config: hidden}, nil, connectors.Settings{}).(*sink) //nolint:errcheck,forcetypeassert // it is one
		sink.session, sink.process = session, sound()
		for range 3 {
			sink.answer(ctx, call)
		}
		if n := session.Charged(); n < 0 || n > chargeable || sink.charged < 0 {
			t.Errorf("%d bytes are charged, %d counted", n, sink.charged)
		}
		if o := source.observed; len(o.Snapshot.Rows) > observedTables || len(o.Server) > 2*observedText || len(o.Lost) > connectors.MaxLost {
			t.Errorf("too much is observed: %v", o)
		}
	})
}

// FuzzSinkOutput: whatever a sink says of its input, the worker's account stays one.
func FuzzSinkOutput(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		out := &pluginpb.SinkOutput{}
		message(content, out)
		session := &connectortest.Session{}
		sink := newSink(&Command{}, &connectors.Description{Config: hidden}, nil, connectors.Settings{}).(*sink) //nolint:errcheck,forcetypeassert // it is one
		p := sound()
		sink.session, sink.process, sink.flushes = session, p, 3
		released := 0
		for i := range 3 {
			b := connectors.NewBuilder(connectortest.Partition(1), nil, func(*connectors.Batch) { released++ }).Finish("{}", connectors.Order{})
			b.ID = connectors.BatchID(i + 1)
			sink.held[b.ID] = b
		}
		sink.sent = 10
		for range 3 {
			sink.hear(p, out)
		}
		if sink.sent < 0 || sink.sent > 10 || sink.flushed > sink.flushes || len(sink.held)+released != 3 {
			t.Errorf("%d bytes on their way, flush %d of %d, %d held, %d released", sink.sent, sink.flushed, sink.flushes, len(sink.held), released)
		}
		if out.GetTaken() > 10 && p.child.cause() == nil {
			t.Error("it took what it was not sent")
		}
	})
}

// FuzzSourceOutput: whatever a source sends, Poll returns a batch or an error.
func FuzzSourceOutput(f *testing.F) {
	seeds(f)
	w := connectors.NewWireWriter()
	b := connectortest.TenBatch(connectortest.Ten(), 0, 3)
	good, err := w.Append(nil, b)
	if err != nil {
		f.Fatal(err)
	}
	b.Release()
	text, err := proto.Marshal(&pluginpb.SourceOutput{Batch: good})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, content []byte) {
		source := newSource(&Command{}, &connectors.Description{Config: hidden}, nil, connectors.Settings{}).(*source) //nolint:errcheck,forcetypeassert // it is one
		source.session = sourceHost{t}
		out := &pluginpb.SourceOutput{}
		message(content, out)
		source.in <- &frame[*pluginpb.SourceOutput]{message: out, batch: out.GetBatch()}
		b, err := source.Poll(t.Context())
		if (b == nil) == (err == nil) {
			t.Fatalf("%v, %v", b, err)
		}
		if b != nil {
			b.Release()
			return
		}
		if _, again := source.Poll(t.Context()); again == nil {
			t.Errorf("after %v it goes on", err)
		}
	})
}

// FuzzDescription: whatever a plugin describes, its connectors can be asked about configurations, or there are none.
func FuzzDescription(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		d := &pluginpb.Description{}
		message(content, d)
		d.Class, d.Source, d.Sink, d.Style = d.GetClass()+"x", true, false, d.GetStyle()%3
		for _, k := range d.GetKeys() {
			k.Name, k.Type = k.GetName()+"k", []string{"STRING", "INT", "PASSWORD", "LIST"}[len(k.GetDoc())%4]
		}
		described, err := fromDescription(d)
		if err != nil {
			return
		}
		config := connectors.Config{"k": "1", "{k": "value"}
		described.Config.Validate(config)
		answers := &pluginpb.ValidateResponse{}
		message(content, answers)
		fromValues(answers.GetValues(), described.Config, config, newSecrets(described.Config, config, nil))
	})
}
