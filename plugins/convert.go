package plugins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// toError is an error on its way to the other side; nil for nil.
func toError(err error) *pluginpb.Error {
	if err == nil {
		return nil
	}
	out := &pluginpb.Error{Text: err.Error(), Class: pluginpb.Class(connectors.ClassOf(err)), Request: connectors.IsRequest(err)}
	switch {
	case err == io.EOF: //nolint:errorlint // an error that wraps it is a failure
		out.Kind = pluginpb.Kind_END
	case errors.Is(err, connectors.ErrStopped):
		out.Kind = pluginpb.Kind_STOPPED
	case errors.Is(err, context.Canceled):
		out.Kind = pluginpb.Kind_CANCELLED
	case errors.Is(err, context.DeadlineExceeded):
		out.Kind = pluginpb.Kind_DEADLINE
	}
	if at := connectors.StageOf(err); at != connectors.StagePut {
		out.Stage = string(at)
	}
	return out
}

var stages = []connectors.Stage{
	connectors.StageTransformation, connectors.StageKeyConverter, connectors.StageValueConverter, connectors.StageHeaderConverter, connectors.StageProduce,
}

// remote is an error of the other side, with what it stands for here.
type remote struct {
	text string
	is   error // nil: nothing
}

func (e *remote) Error() string { return e.text }
func (e *remote) Unwrap() error { return e.is }

// textLimit bounds the text of an error.
const textLimit = 16 << 10

// fromError is the error that toError has sent, without the secrets that are known (I12).
func fromError(p *pluginpb.Error, hide *secrets) error {
	if p == nil {
		return nil
	}
	e := &remote{text: shorten(hide.hide(p.GetText()), textLimit)}
	if e.text == "" {
		e.text = "the plugin reports an error without a text"
	}
	switch p.GetKind() {
	case pluginpb.Kind_END:
		return io.EOF
	case pluginpb.Kind_STOPPED:
		e.is = connectors.ErrStopped
	case pluginpb.Kind_CANCELLED:
		e.is = context.Canceled
	case pluginpb.Kind_DEADLINE:
		e.is = context.DeadlineExceeded
	}
	var err error = e
	if at := connectors.Stage(p.GetStage()); slices.Contains(stages, at) {
		err = connectors.AtStage(at, err)
	}
	if p.GetRequest() {
		err = connectors.AsRequest(err)
	}
	switch p.GetClass() {
	case pluginpb.Class_PERMANENT:
		return connectors.AsPermanent(err)
	case pluginpb.Class_FENCED:
		return connectors.AsFenced(err)
	}
	return err
}

func toEntries(list []offsets.Entry) []*pluginpb.Entry {
	out := make([]*pluginpb.Entry, len(list))
	for i, e := range list {
		out[i] = &pluginpb.Entry{Partition: string(e.Partition), Offset: string(e.Offset)}
	}
	return out
}

// fromEntries checks that partitions and offsets are objects, and makes partitions canonical: they are compared by their bytes.
func fromEntries(list []*pluginpb.Entry) ([]offsets.Entry, error) {
	out := make([]offsets.Entry, len(list))
	for i, e := range list {
		p, err := fromPartition(e.GetPartition())
		if err != nil {
			return nil, err
		}
		out[i] = offsets.Entry{Partition: p}
		if e.GetOffset() == "" {
			continue
		}
		if _, err := offsets.Canonical([]byte(e.GetOffset())); err != nil {
			return nil, connectors.AsPermanent(fmt.Errorf("read an offset from the plugin: %w", err))
		}
		out[i].Offset = offsets.Offset(e.GetOffset()) // its bytes are the source's own
	}
	return out, nil
}

func fromPartition(text string) (offsets.Partition, error) {
	p, err := offsets.Canonical([]byte(text))
	if err != nil {
		return "", connectors.AsPermanent(fmt.Errorf("read a partition from the plugin: %w", err))
	}
	return p, nil
}

func toPartitions(list []offsets.Partition) *pluginpb.Partitions {
	return &pluginpb.Partitions{Partitions: texts(list)}
}

func texts(list []offsets.Partition) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = string(p)
	}
	return out
}

func fromPartitions(list []string) ([]offsets.Partition, error) {
	out := make([]offsets.Partition, len(list))
	for i, text := range list {
		var err error
		if out[i], err = fromPartition(text); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func toOrder(o connectors.Order) *pluginpb.Order {
	return &pluginpb.Order{Epoch: o.Epoch, Major: o.Major, Minor: o.Minor}
}

func fromOrder(o *pluginpb.Order) connectors.Order {
	return connectors.Order{Epoch: o.GetEpoch(), Major: o.GetMajor(), Minor: o.GetMinor()}
}

func toPositions(list []connectors.Progress) []*pluginpb.Position {
	out := make([]*pluginpb.Position, len(list))
	for i, p := range list {
		out[i] = &pluginpb.Position{Partition: string(p.Partition), Offset: string(p.Offset), Through: toOrder(p.Through)}
	}
	return out
}

func fromPositions(list []*pluginpb.Position) ([]connectors.Progress, error) {
	out := make([]connectors.Progress, len(list))
	for i, p := range list {
		entries, err := fromEntries([]*pluginpb.Entry{{Partition: p.GetPartition(), Offset: p.GetOffset()}})
		if err != nil {
			return nil, err
		}
		out[i] = connectors.Progress{Partition: entries[0].Partition, Offset: entries[0].Offset, Through: fromOrder(p.GetThrough())}
	}
	return out, nil
}

func toSettings(s connectors.Settings) *pluginpb.Settings {
	return &pluginpb.Settings{
		Connector: s.Connector, Task: int32(s.Task), Sink: s.Sink, Class: s.Class, GroupId: s.GroupID, RunId: s.RunID, Version: s.Version,
		Worker: s.Worker, ExactlyOnce: s.ExactlyOnce, Shared: s.Shared, KeepRaw: s.KeepRaw, Tolerant: s.Tolerant, Claim: s.Claim,
	}
}

// fromConfig is a map that can be written to, which an empty one that was sent is not.
func fromConfig(c map[string]string) connectors.Config {
	if c == nil {
		return connectors.Config{}
	}
	return c
}

// fromSettings has no logger.
func fromSettings(s *pluginpb.Settings) connectors.Settings {
	return connectors.Settings{
		Connector: s.GetConnector(), Task: int(s.GetTask()), Sink: s.GetSink(), Class: s.GetClass(), GroupID: s.GetGroupId(), RunID: s.GetRunId(),
		Version: s.GetVersion(), Worker: fromConfig(s.GetWorker()), ExactlyOnce: s.GetExactlyOnce(), Shared: s.GetShared(), KeepRaw: s.GetKeepRaw(),
		Tolerant: s.GetTolerant(), Claim: s.GetClaim(),
	}
}

func toValues(list []connectors.ConfigValue) []*pluginpb.ConfigValue {
	out := make([]*pluginpb.ConfigValue, len(list))
	for i, v := range list {
		out[i] = &pluginpb.ConfigValue{
			Name: v.Name, Value: v.Value, Recommended: v.Recommended, Errors: v.Errors, Long: v.Long, HasLong: v.Long != nil, Visible: v.Visible, Passing: v.Passing,
		}
	}
	return out
}

// fromValues are the answers to a validation of c, in which passwords are hidden whatever the plugin says (I12).
func fromValues(list []*pluginpb.ConfigValue, def *connectors.ConfigDef, c connectors.Config, hide *secrets) []connectors.ConfigValue {
	out := make([]connectors.ConfigValue, len(list))
	for i, v := range list {
		out[i] = connectors.ConfigValue{
			Name: v.GetName(), Value: v.Value, Recommended: v.GetRecommended(), Errors: v.GetErrors(), Long: v.GetLong(), Visible: v.GetVisible(), Passing: v.GetPassing(),
		}
		if v.GetHasLong() && out[i].Long == nil {
			out[i].Long = []string{}
		}
		for _, texts := range [][]string{out[i].Errors, out[i].Long} {
			for j, text := range texts {
				texts[j] = shorten(hide.hide(text), textLimit)
			}
		}
		if v.Value != nil {
			out[i].Value = fit(v.GetValue(), c[v.GetName()], def.Find(v.GetName()), def.Style, hide)
		}
	}
	return out
}

// fit is a value of a validation fit to be shown, nil for one that is left out. given is what the user wrote.
func fit(value, given string, k *connectors.Key, style connectors.Style, hide *secrets) *string {
	switch {
	case k != nil && k.Type == connectors.TypePassword:
		if style != connectors.StyleConnect {
			return nil
		}
		value = connectors.Hidden
	case k != nil && k.Show != nil && value == given:
		value = connectors.Hidden
	case value != given:
		value = hide.hide(value)
	}
	return &value
}

func toRaw(r *connectors.Raw) *pluginpb.Raw {
	out := &pluginpb.Raw{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, &pluginpb.RawHeader{Key: h.Key, Value: h.Value})
	}
	return out
}

func fromRaw(r *pluginpb.Raw) (*connectors.Raw, error) {
	if r == nil {
		return nil, connectors.AsPermanent(errors.New("the plugin tolerates a record without the record"))
	}
	out := &connectors.Raw{Topic: r.GetTopic(), Partition: r.GetPartition(), Offset: r.GetOffset(), Timestamp: r.GetTimestamp(), Key: r.Key, Value: r.Value}
	for _, h := range r.GetHeaders() {
		out.Headers = append(out.Headers, connectors.RawHeader{Key: h.GetKey(), Value: h.Value})
	}
	return out, nil
}

func toObservation(o connectors.Observation) *pluginpb.Observation {
	s := o.Snapshot
	out := &pluginpb.Observation{
		Kind: o.Kind, Server: o.Server, Connected: o.Connected, LogEnd: o.LogEnd, Sent: o.Sent, Read: o.Read, Held: o.Held,
		LastTransaction: o.LastTransaction, Position: o.Position,
		Snapshot: &pluginpb.Snapshot{
			Running: s.Running, Completed: s.Completed, Tables: int64(s.Tables), Remaining: int64(s.Remaining), Rows: maps.Clone(s.Rows), Expected: s.Expected, Took: int64(s.Took),
		},
	}
	for _, l := range o.Lost {
		out.Lost = append(out.Lost, &pluginpb.LostRange{From: l.From, To: l.To, Bytes: l.Bytes, Text: l.Text, When: l.When.UnixMicro()})
	}
	return out
}

// observedText and observedTables bound what is kept of an observation.
const (
	observedText   = 1 << 10
	observedTables = 20_000
)

func fromObservation(o *pluginpb.Observation, hide *secrets) connectors.Observation {
	text := func(t string) string { return shorten(hide.hide(t), observedText) }
	s := o.GetSnapshot()
	out := connectors.Observation{
		Kind: text(o.GetKind()), Server: text(o.GetServer()), Connected: o.GetConnected(), LogEnd: o.GetLogEnd(), Sent: o.GetSent(), Read: o.GetRead(), Held: o.GetHeld(),
		LastTransaction: text(o.GetLastTransaction()), Position: text(o.GetPosition()),
		Snapshot: connectors.SnapshotObservation{
			Running: s.GetRunning(), Completed: s.GetCompleted(), Tables: int(s.GetTables()), Remaining: int(s.GetRemaining()), Expected: s.GetExpected(),
			Took: time.Duration(s.GetTook()),
		},
	}
	if rows := s.GetRows(); rows != nil {
		out.Snapshot.Rows = make(map[string]int64, min(len(rows), observedTables))
		for table, n := range rows {
			if len(out.Snapshot.Rows) == observedTables {
				break
			}
			out.Snapshot.Rows[text(table)] = n
		}
	}
	for _, l := range o.GetLost()[:min(len(o.GetLost()), connectors.MaxLost)] {
		out.Lost = append(out.Lost, connectors.LostRange{From: text(l.GetFrom()), To: text(l.GetTo()), Bytes: l.GetBytes(), Text: text(l.GetText()), When: time.UnixMicro(l.GetWhen())})
	}
	return out
}
