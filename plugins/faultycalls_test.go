package plugins_test

import (
	"math"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// Poll does what the fault says.
func (s *faulty) Poll(stream pluginpb.Connector_PollServer) error {
	if s.pollAndDie() {
		return nil
	}
	send := func(out ...*pluginpb.SourceOutput) error {
		for _, o := range out {
			if err := stream.Send(o); err != nil {
				return err
			}
		}
		<-stream.Context().Done()
		return nil
	}
	batch := func(text []byte) *pluginpb.SourceOutput { return &pluginpb.SourceOutput{Batch: text} }
	switch s.fault {
	case "sends garbage":
		return send(batch([]byte(strings.Repeat("garbage", 20))))
	case "sends nothing":
		return send(&pluginpb.SourceOutput{})
	case "sends a batch of an unknown stream":
		return send(batch(batches(2)[1]))
	case "sends a cut batch":
		text := batches(1)[0]
		return send(batch(text[:len(text)-1]))
	case "sends batches ahead":
		var out []*pluginpb.SourceOutput
		for _, text := range batches(50) {
			out = append(out, batch(text))
		}
		return send(out...)
	case "sends what is no message":
		out := &pluginpb.SourceOutput{}
		out.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), "\xff\xff\xff"))
		return send(out)
	case "has an error without a text":
		return send(&pluginpb.SourceOutput{Error: &pluginpb.Error{}})
	case "has an error of no class":
		return send(&pluginpb.SourceOutput{Error: &pluginpb.Error{Text: "odd", Class: 77, Kind: 99, Stage: "nowhere"}})
	case "has a long error":
		return send(fail(strings.Repeat("x", 1<<20)))
	case "lists what it inherited":
		return send(fail(inherited()))
	case "tells a secret":
		_, _ = stderr.WriteString("plain " + s.config["password"] + "\n" + `{"level":"WARN","msg":"json ` + s.config["password"] + `","deep":{"of":["` + s.config["url"] + `"]}}` + "\n")
		return send(fail("log in as app with " + s.config["password"] + " at " + s.config["url"]))
	case "settles as a source":
		return send(s.answered(&pluginpb.Call{Call: &pluginpb.Call_Settle{Settle: &pluginpb.Settle{}}}))
	case "tolerates nothing":
		return send(s.answered(&pluginpb.Call{Call: &pluginpb.Call_Tolerate{Tolerate: &pluginpb.Tolerate{Cause: &pluginpb.Error{Stage: "KEY_CONVERTER"}}}}))
	case "tolerates nowhere":
		return send(s.answered(&pluginpb.Call{Call: &pluginpb.Call_Tolerate{Tolerate: &pluginpb.Tolerate{Raw: &pluginpb.Raw{}}}}))
	case "asks nothing":
		return send(s.answered(&pluginpb.Call{}))
	case "asks about garbage":
		return send(s.answered(&pluginpb.Call{Call: &pluginpb.Call_Remember{Remember: &pluginpb.Entries{Entries: []*pluginpb.Entry{{Partition: "{", Offset: "]"}}}}}))
	case "asks twice at once":
		s.tell(&pluginpb.Call{Id: 5, Call: &pluginpb.Call_Drain{}}, &pluginpb.Call{Id: 5, Call: &pluginpb.Call_Drain{}})
	case "observes at length":
		rows := map[string]int64{}
		for i := range 25_000 {
			rows[strings.Repeat("t", 1+i%100/99*3000)+time.Duration(i).String()] = int64(i)
		}
		s.tell(&pluginpb.Call{Call: &pluginpb.Call_Observation{Observation: &pluginpb.Observation{Server: s.config["password"], Snapshot: &pluginpb.Snapshot{Rows: rows}}}})
		return send(batch(batches(1)[0]))
	case "asks without end":
		go func() {
			for id := uint64(1); s.session.Context().Err() == nil; id++ {
				s.tell(&pluginpb.Call{Id: id, Call: &pluginpb.Call_Reached{Reached: `{"p":1}`}}, &pluginpb.Call{Call: &pluginpb.Call_Retrying{}})
			}
		}()
		return s.pollOn(stream)
	case "floods its log":
		go flood()
		return s.pollOn(stream)
	case "writes a line of 20 MB":
		_, _ = stderr.WriteString(strings.Repeat("long ", 4<<20) + s.config["password"] + "\n")
		return s.pollOn(stream)
	}
	return send()
}

// pollAndDie does what ends, or should end, the process.
func (s *faulty) pollAndDie() bool {
	switch s.fault {
	case "dies in Poll":
		os.Exit(7)
	case "ends in Poll":
		os.Exit(0)
	case "panics in Poll":
		panic("no more devices than " + s.config["password"])
	case "leaves a child":
		fork("/bin/sleep", "1000")
		os.Exit(8)
	case "stops itself":
		fork("/bin/sleep", "1000")
		freeze()
		time.Sleep(time.Hour)
	case "is replaced":
		for !replaced() {
			time.Sleep(10 * time.Millisecond)
		}
		os.Exit(0)
	case "leaks":
		leak()
	case "has a child that leaks":
		fork(os.Args[0], faultyArgument, "leaks alone")
		time.Sleep(time.Hour)
	default:
		return false
	}
	return true
}

func (s *faulty) answered(call *pluginpb.Call) *pluginpb.SourceOutput {
	return &pluginpb.SourceOutput{Error: s.ask(call)}
}

// pollOn sends batches as fast as they are taken.
func (s *faulty) pollOn(stream pluginpb.Connector_PollServer) error {
	for _, text := range batches(20) {
		if err := stream.Send(&pluginpb.SourceOutput{Batch: text}); err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

// Put does what the fault says with the first input.
func (s *faulty) Put(stream pluginpb.Connector_PutServer) error {
	if s.fault == "reads no batches" {
		<-stream.Context().Done()
		return nil
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	charge := func(n ...int64) {
		for _, n := range n {
			s.tell(&pluginpb.Call{Call: &pluginpb.Call_Charge{Charge: n}})
		}
	}
	var out *pluginpb.SinkOutput
	switch s.fault {
	case "takes more than it was sent":
		out = &pluginpb.SinkOutput{Taken: math.MaxUint64}
	case "releases what it does not have":
		out = &pluginpb.SinkOutput{Released: []uint64{1, 1}}
	case "ends a flush that was not asked for":
		out = &pluginpb.SinkOutput{Flushed: 7}
	case "fails with a secret":
		out = &pluginpb.SinkOutput{Error: &pluginpb.Error{Text: "log in with " + s.config["password"], Class: pluginpb.Class_PERMANENT}}
	case "dies in Put":
		os.Exit(7)
	case "stops itself in Put":
		freeze()
	case "acknowledges nothing":
		return s.takeAll(stream)
	case "returns what it did not charge":
		charge(100, -101)
	case "charges more than there is":
		charge(math.MaxInt64, math.MaxInt64, math.MaxInt64)
	case "charges without end":
		for range 1000 {
			charge(1 << 40)
		}
		out = &pluginpb.SinkOutput{Flushed: 1}
	case "rejects what it does not have":
		out = &pluginpb.SinkOutput{Error: s.ask(&pluginpb.Call{Call: &pluginpb.Call_Reject{Reject: &pluginpb.Reject{Batch: 9, Record: 1 << 31}}})}
	case "fails without a cause":
		s.tell(&pluginpb.Call{Call: &pluginpb.Call_Fail{}})
	case "says nothing without end":
		go func() {
			for stream.Send(&pluginpb.SinkOutput{}) == nil {
			}
		}()
	}
	if out != nil {
		if err := stream.Send(out); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

// takeAll takes batches and ends flushes, and acknowledges nothing.
func (s *faulty) takeAll(stream pluginpb.Connector_PutServer) error {
	for {
		in, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&pluginpb.SinkOutput{Taken: uint64(len(in.GetBatch())), Flushed: in.GetFlush()}); err != nil {
			return err
		}
	}
}
