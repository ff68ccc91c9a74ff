package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// server answers the worker's calls with a plugin's factories and its one task.
type server struct {
	pluginpb.UnimplementedConnectorServer
	factories []connectors.Factory
	log       *slog.Logger
	level     *slog.LevelVar
	memory    buffers

	mu   sync.Mutex
	task *task
}

// task is the task of the process.
type task struct {
	source connectors.SourceTask
	sink   connectors.SinkTask
	calls  *caller
	feed   *feed
	drain  *drain
	ctx    context.Context // ends with the task
	cancel context.CancelFunc
}

func newServer(factories []connectors.Factory, log *slog.Logger, level *slog.LevelVar) *server {
	return &server{factories: factories, log: log, level: level}
}

// end ends the task's work without waiting.
func (s *server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.task != nil {
		s.task.cancel()
	}
}

func (s *server) find(class string, sink bool) (connectors.Factory, error) {
	for _, f := range s.factories {
		if d := f.Describe(); d.Class == class && d.Sink == sink {
			return f, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "the plugin has no connector of class %s", class)
}

// Describe implements pluginpb.ConnectorServer.
func (s *server) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	out := &pluginpb.DescribeResponse{}
	for _, f := range s.factories {
		out.Connectors = append(out.Connectors, toDescription(f))
	}
	return out, nil
}

// Validate implements pluginpb.ConnectorServer.
func (s *server) Validate(ctx context.Context, r *pluginpb.ValidateRequest) (*pluginpb.ValidateResponse, error) {
	f, err := s.find(r.GetClass(), r.GetSink())
	if err != nil {
		return nil, err
	}
	var values []connectors.ConfigValue
	if r.GetConnect() {
		values = f.Validate(ctx, fromConfig(r.GetConfig()))
	} else {
		values = connectors.CheckKeys(f, fromConfig(r.GetConfig()))
	}
	return &pluginpb.ValidateResponse{Values: toValues(values)}, nil
}

// Tasks implements pluginpb.ConnectorServer.
func (s *server) Tasks(ctx context.Context, r *pluginpb.TasksRequest) (*pluginpb.TasksResponse, error) {
	f, err := s.find(r.GetClass(), r.GetSink())
	if err != nil {
		return nil, err
	}
	out := &pluginpb.TasksResponse{}
	if resumes := f.Describe().Resumes; resumes != nil {
		out.NoPositions = !resumes(fromConfig(r.GetConfig()))
	}
	tasks, err := f.Tasks(ctx, fromConfig(r.GetConfig()), int(r.GetMax()))
	out.Error = toError(err)
	for _, c := range tasks {
		out.Tasks = append(out.Tasks, &pluginpb.TaskConfig{Config: c})
	}
	return out, nil
}

// CheckOffsets implements pluginpb.ConnectorServer.
func (s *server) CheckOffsets(_ context.Context, r *pluginpb.OffsetsRequest) (*pluginpb.Result, error) {
	f, err := s.find(r.GetClass(), false)
	if err != nil {
		return nil, err
	}
	k, ok := f.(connectors.OffsetChecker)
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "connector %s does not check offsets", r.GetClass())
	}
	return &pluginpb.Result{Error: toError(k.CheckOffsets(fromConfig(r.GetConfig()), asked(r)))}, nil
}

// asked are the entries of a request; partitions may be as the user wrote them.
func asked(r *pluginpb.OffsetsRequest) []offsets.Entry {
	if r.GetAll() {
		return nil
	}
	out := []offsets.Entry{}
	for _, e := range r.GetEntries() {
		out = append(out, offsets.Entry{Partition: offsets.Partition(e.GetPartition()), Offset: offsets.Offset(e.GetOffset())})
	}
	return out
}

// GetOffsets implements pluginpb.ConnectorServer.
func (s *server) GetOffsets(ctx context.Context, r *pluginpb.OffsetsRequest) (*pluginpb.OffsetsResponse, error) {
	owner, settings, err := s.owner(r)
	if err != nil {
		return nil, err
	}
	entries, err := owner.Offsets(ctx, fromConfig(r.GetConfig()), settings)
	return &pluginpb.OffsetsResponse{Error: toError(err), Entries: toEntries(entries)}, nil
}

// SetOffsets implements pluginpb.ConnectorServer.
func (s *server) SetOffsets(ctx context.Context, r *pluginpb.OffsetsRequest) (*pluginpb.OffsetsResponse, error) {
	owner, settings, err := s.owner(r)
	if err != nil {
		return nil, err
	}
	entries, err := owner.SetOffsets(ctx, fromConfig(r.GetConfig()), settings, asked(r))
	return &pluginpb.OffsetsResponse{Error: toError(err), Entries: toEntries(entries)}, nil
}

func (s *server) owner(r *pluginpb.OffsetsRequest) (connectors.OffsetOwner, connectors.Settings, error) {
	settings := fromSettings(r.GetSettings())
	settings.Logger = s.log
	f, err := s.find(r.GetClass(), false)
	if err != nil {
		return nil, settings, err
	}
	owner, ok := f.(connectors.OffsetOwner)
	if !ok {
		return nil, settings, status.Errorf(codes.Unimplemented, "connector %s has no offsets of its own", r.GetClass())
	}
	return owner, settings, nil
}

// Open implements pluginpb.ConnectorServer.
func (s *server) Open(_ context.Context, r *pluginpb.OpenRequest) (*pluginpb.Result, error) {
	f, err := s.find(r.GetClass(), r.GetSink())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.task != nil {
		return nil, status.Error(codes.FailedPrecondition, "the process has its task already")
	}
	s.level.Set(slog.Level(r.GetLogLevel()))
	settings := fromSettings(r.GetSettings())
	settings.Logger = s.log
	t := &task{}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.calls = newCaller(t.ctx)
	switch f := f.(type) {
	case connectors.SourceFactory:
		t.feed = newFeed(t.calls, &s.memory, int64(r.GetWindow()))
		t.source, err = f.NewSource(fromConfig(r.GetConfig()), settings)
	case connectors.SinkFactory:
		t.drain = newDrain(t.calls)
		t.sink, err = f.NewSink(fromConfig(r.GetConfig()), settings)
	default:
		err = fmt.Errorf("connector %s is neither a source nor a sink", r.GetClass())
	}
	if err != nil {
		t.cancel()
		return &pluginpb.Result{Error: toError(err)}, nil
	}
	s.task = t
	return &pluginpb.Result{}, nil
}

var errNotOpen = status.Error(codes.FailedPrecondition, "the process has no such task; Open comes first")

func (s *server) opened(of func(*task) bool) (*task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.task == nil || !of(s.task) {
		return nil, errNotOpen
	}
	return s.task, nil
}

func isSource(t *task) bool { return t.source != nil }
func isSink(t *task) bool   { return t.sink != nil }
func isTask(*task) bool     { return true }

var errNoKeeper = status.Error(codes.Unimplemented, "its sink does not keep offsets (OffsetKeeper), though the connector's description says so (Keeper)")

func (s *server) keeper() (*task, connectors.OffsetKeeper, error) {
	t, err := s.opened(isSink)
	if err != nil {
		return nil, nil, err
	}
	k, ok := t.sink.(connectors.OffsetKeeper)
	if !ok {
		return nil, nil, errNoKeeper
	}
	return t, k, nil
}

// Session implements pluginpb.ConnectorServer.
func (s *server) Session(stream pluginpb.Connector_SessionServer) error {
	t, err := s.opened(isTask)
	if err != nil {
		return err
	}
	var observe func() connectors.Observation
	if o, ok := t.source.(connectors.Observed); ok {
		observe = o.Observe
	}
	return t.calls.serve(stream, observe)
}

// Start implements pluginpb.ConnectorServer.
func (s *server) Start(ctx context.Context, _ *pluginpb.StartRequest) (*pluginpb.TaskResult, error) {
	t, err := s.opened(isTask)
	if err != nil {
		return nil, err
	}
	if t.source != nil {
		err = t.source.Start(ctx, t.feed)
	} else {
		err = t.sink.Start(ctx, t.drain)
	}
	return &pluginpb.TaskResult{Error: toError(err), Claim: t.claim()}, nil
}

// Stop implements pluginpb.ConnectorServer.
func (s *server) Stop(ctx context.Context, _ *pluginpb.StopRequest) (*pluginpb.TaskResult, error) {
	t, err := s.opened(isTask)
	if err != nil {
		return nil, err
	}
	t.cancel()
	if t.source != nil {
		err = errors.Join(t.feed.wait(ctx), t.source.Stop(ctx))
	} else {
		err = errors.Join(t.drain.wait(ctx), t.sink.Stop(ctx))
	}
	return &pluginpb.TaskResult{Error: toError(err), Claim: t.claim()}, nil
}

func (t *task) claim() string {
	if c, ok := t.sink.(connectors.Claimant); ok {
		return c.Claim()
	}
	return ""
}

// Poll implements pluginpb.ConnectorServer.
func (s *server) Poll(stream pluginpb.Connector_PollServer) error {
	t, err := s.opened(isSource)
	if err != nil {
		return err
	}
	return t.feed.serve(t.ctx, t.source, stream)
}

// Commit implements pluginpb.ConnectorServer.
func (s *server) Commit(ctx context.Context, r *pluginpb.CommitRequest) (*pluginpb.Result, error) {
	t, err := s.opened(isSource)
	if err != nil {
		return nil, err
	}
	entries, err := fromEntries(r.GetUpTo())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &pluginpb.Result{Error: toError(t.source.Commit(ctx, entries))}, nil
}

// Put implements pluginpb.ConnectorServer.
func (s *server) Put(stream pluginpb.Connector_PutServer) error {
	t, err := s.opened(isSink)
	if err != nil {
		return err
	}
	return t.drain.serve(t.ctx, t.sink, stream)
}

// Progress implements pluginpb.ConnectorServer.
func (s *server) Progress(ctx context.Context, r *pluginpb.ProgressRequest) (*pluginpb.ProgressResponse, error) {
	t, keeper, err := s.keeper()
	if err != nil {
		return nil, err
	}
	partitions, err := fromPartitions(r.GetPartitions())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	list, err := keeper.Progress(ctx, partitions...)
	return &pluginpb.ProgressResponse{Error: toError(err), Positions: toPositions(list), Claim: t.claim()}, nil
}

// SetProgress implements pluginpb.ConnectorServer.
func (s *server) SetProgress(ctx context.Context, r *pluginpb.SetProgressRequest) (*pluginpb.Result, error) {
	_, keeper, err := s.keeper()
	if err != nil {
		return nil, err
	}
	list, err := fromPositions(r.GetPositions())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &pluginpb.Result{Error: toError(keeper.SetProgress(ctx, list))}, nil
}
