package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/runtime/herder"
)

// Kafka keeps members of different protocols apart: with the group type of Kafka Connect and a protocol of its own a worker is
// refused while workers of the JVM are in the group, and they while it is.
const (
	groupType     = "connect"
	groupProtocol = "freshet"
)

// GroupOptions describe a worker and its group. Durations that are zero are Kafka Connect's defaults, but for MaxDelay.
type GroupOptions struct {
	Config            *kafkaclient.Config // of the worker's own connections
	Group             string              // group.id
	URL               string              // where other workers reach this one's REST API
	Version           string              // of this worker, for others to see
	SessionTimeout    time.Duration       // session.timeout.ms: 10 s
	HeartbeatInterval time.Duration       // heartbeat.interval.ms: 3 s
	RebalanceTimeout  time.Duration       // rebalance.timeout.ms: a minute
	SyncTimeout       time.Duration       // worker.sync.timeout.ms: 3 s
	UnsyncBackoff     time.Duration       // worker.unsync.backoff.ms: 5 minutes
	MaxDelay          time.Duration       // scheduled.rebalance.max.delay.ms; 0: lost work is given away at once
	Logger            *slog.Logger
}

// Group is the membership of this worker in a group of Kafka, as a herder.Group.
type Group struct {
	o      GroupOptions
	rejoin chan struct{}
	clock  func() time.Duration

	mu      sync.Mutex
	trouble error
	logged  time.Time
}

// NewGroup makes a Group; it connects when it runs.
func NewGroup(o GroupOptions) *Group {
	for d, standard := range map[*time.Duration]time.Duration{
		&o.SessionTimeout: 10 * time.Second, &o.HeartbeatInterval: 3 * time.Second, &o.RebalanceTimeout: time.Minute,
		&o.SyncTimeout: 3 * time.Second, &o.UnsyncBackoff: 5 * time.Minute,
	} {
		*d = cmp.Or(*d, standard)
	}
	o.RebalanceTimeout = max(o.RebalanceTimeout, o.SessionTimeout/2)
	o.HeartbeatInterval = min(o.HeartbeatInterval, o.SessionTimeout/3)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("logger", loggerName)
	return &Group{o: o, rejoin: make(chan struct{}, 1), clock: uptime}
}

// Rejoin implements herder.Group.
func (g *Group) Rejoin() { wake(g.rejoin) }

// Trouble says why this worker takes no part in its group at present; nil: it does, or is about to join.
func (g *Group) Trouble() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trouble
}

// report keeps err for Trouble, and logs what is new and, once a minute, what stays.
func (g *Group) report(err error) {
	g.mu.Lock()
	same := g.trouble != nil && err != nil && g.trouble.Error() == err.Error()
	g.trouble = err
	loud := err != nil && !errors.Is(err, errStopping) && (!same || time.Since(g.logged) > time.Minute)
	if loud {
		g.logged = time.Now()
	}
	g.mu.Unlock()
	if loud {
		g.o.Logger.Warn("this worker takes no part in its group; trying again", "group", g.o.Group, "error", err)
	}
}

var (
	// ErrMixedGroup: members of another kind are in the group.
	ErrMixedGroup = errors.New("the group has members of another kind")
	errRefused    = errors.New("the broker refuses this worker")
	errStopping   = errors.New("the worker is stopping")
)

// behindError: the config log could not be read up to an offset that others have reached.
type behindError struct {
	offset int64
	err    error
}

func (e *behindError) Error() string {
	return fmt.Sprintf("this worker could not read the config log up to offset %d, where others are, within worker.sync.timeout.ms: %v", e.offset, e.err)
}

func (e *behindError) Unwrap() error { return e.err }

const (
	mixedPause = time.Second // between attempts to join while the others are still there
	leaveLimit = 3 * time.Second
	pauseMin   = 50 * time.Millisecond
	pauseMax   = 5 * time.Second
)

// Run implements herder.Group. While workers of the JVM are in the group it tries again, so that it takes over when they have stopped;
// Trouble tells of it. It returns an error when the broker refuses this worker for good: access, or times that the broker does not allow.
func (g *Group) Run(ctx context.Context, m herder.Member) error {
	pause := pauseMin
	for ctx.Err() == nil {
		began := time.Now()
		err := g.attend(ctx, m)
		if ctx.Err() != nil || errors.Is(err, errRefused) {
			g.report(cmp.Or(err, errStopping))
			if ctx.Err() != nil {
				err = nil
			}
			return err
		}
		g.report(err)
		if time.Since(began) > time.Minute {
			pause = pauseMin
		}
		var behind *behindError
		switch {
		case errors.As(err, &behind):
			g.catchUp(ctx, m, behind.offset)
			continue
		case errors.Is(err, ErrMixedGroup):
			pause = mixedPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, pauseMax)
	}
	return nil
}

// catchUp reads the config log outside of the group, for worker.unsync.backoff.ms at most.
func (g *Group) catchUp(ctx context.Context, m herder.Member, offset int64) {
	ctx, cancel := context.WithTimeout(ctx, g.o.UnsyncBackoff)
	defer cancel()
	for pause := pauseMin; ctx.Err() == nil; pause = min(2*pause, pauseMax) {
		try, done := context.WithTimeout(ctx, g.o.SyncTimeout)
		err := m.Sync(try, offset)
		done()
		if err == nil {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// session is one membership, from the first join to the end of the lease.
type session struct {
	g      *Group
	m      herder.Member
	ctx    context.Context // ends with the lease
	keeper *keeper
	link   *link // for what may take long

	id         string
	generation int32
	began      time.Time       // of the newest round
	assigned   bool            // something was given to this worker, perhaps nothing to do
	has        []herder.TaskID // what this worker was given last
	offset     int64           // that it was given for
	led        int32           // last generation that this worker led
	history    history
	owners     map[herder.TaskID]string // the leader's: URL of who was given what
	ran        map[herder.TaskID]bool   // the leader's: what members had when they joined
	wait       *time.Timer              // the leader's, until the next round; nil: none
}

// attend is a membership. It returns why it ended; nothing runs here any more then.
func (g *Group) attend(ctx context.Context, m herder.Member) error {
	live, over := context.WithCancelCause(context.WithoutCancel(ctx))
	defer over(errClosed)
	s := &session{g: g, m: m, ctx: live, led: -1}
	s.link = newLink(g.o.Config, g.o.Group, g.o.RebalanceTimeout+g.o.SessionTimeout, g.report)
	defer s.link.close()
	s.keeper = startKeeper(live, g, over, s.link.cut)
	err := s.run(ctx)
	switch lost := live.Err() != nil || errors.Is(err, errForgotten); {
	case !s.assigned:
	case lost:
		s.lost(cmp.Or(context.Cause(live), err))
	default:
		s.revoke(s.holds())
		if live.Err() != nil {
			s.lost(context.Cause(live))
		} else if !errors.Is(err, errStopping) {
			m.Lost() // nothing runs here, and nobody is told to run anything
		}
	}
	err = cmp.Or(context.Cause(live), err)
	over(errClosed)
	<-s.keeper.ended
	s.leave()
	return err
}

// revoke lets tasks stop, gracefully for as long as the lease lasts and a round may take.
func (s *session) revoke(ids []herder.TaskID) {
	ctx, cancel := context.WithTimeout(s.ctx, s.g.o.RebalanceTimeout-s.g.o.margin())
	defer cancel()
	s.m.Revoke(ctx, ids)
}

func (s *session) lost(err error) {
	s.g.o.Logger.Error("this worker has lost its place in the group and stops what it runs", "group", s.g.o.Group, "error", err)
	s.m.Lost() // I6
}

// holds is everything that may be running here: what runs, and what was given and may be about to start.
func (s *session) holds() []herder.TaskID {
	ids := append(slices.Clone(s.has), s.m.Running()...)
	sortTasks(ids)
	return slices.Compact(ids)
}

// run takes part in rounds until the membership ends.
func (s *session) run(ctx context.Context) error {
	// What is under way ends with the lease, and when the worker stops.
	both, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	for {
		s.began = time.Now()
		a, err := s.round(both)
		again := false
		if err == nil {
			again, err = s.apply(both, a)
		}
		if err == nil && !again {
			err = s.rest(both)
		}
		switch {
		case ctx.Err() != nil:
			return errStopping
		case err != nil:
			return err
		}
	}
}

// rest waits for a reason to join again.
func (s *session) rest(ctx context.Context) error {
	var due <-chan time.Time
	if s.wait != nil {
		due = s.wait.C
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.keeper.rebalance:
			return nil
		case <-due:
			return nil
		case <-s.g.rejoin:
			// The last round may have seen it already. As leader this worker may ask for another reason.
			if s.m.Offset() > s.offset || s.led == s.generation {
				return nil
			}
		}
	}
}

// apply does what the leader says; again: this worker is to join again at once.
func (s *session) apply(ctx context.Context, a assignment) (again bool, err error) {
	if a.offset > s.m.Offset() {
		sync, cancel := context.WithTimeout(ctx, s.g.o.SyncTimeout)
		err := s.m.Sync(sync, a.offset)
		cancel()
		if err != nil {
			return false, cmp.Or(context.Cause(ctx), error(&behindError{a.offset, err}))
		}
	}
	if a.err == errorBehind { // nothing changes; the leader has caught up now, or leaves
		return a.leader == s.id, nil
	}
	if len(a.revoked) > 0 {
		s.revoke(a.revoked) // I6
		if s.ctx.Err() != nil {
			return false, context.Cause(s.ctx)
		}
	}
	if s.keeper.expired() { // the process may have been stopped since the answer came
		return false, context.Cause(s.ctx)
	}
	s.assigned, s.has, s.offset = true, a.tasks, a.offset
	given := herder.Assignment{Generation: s.generation, Leader: a.leader == s.id, LeaderURL: a.leaderURL, Began: s.began, Offset: a.offset, Tasks: slices.Clone(a.tasks)}
	if given.Leader {
		given.Owners, given.Ran = s.owners, s.ran
	}
	s.m.Assigned(given)
	s.g.report(nil)
	return a.again && len(a.revoked) > 0, nil
}

// describe says who is in the group, for the error of a worker that is not let in.
func (s *session) describe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaveLimit)
	defer cancel()
	var d *sarama.GroupDescription
	_, err := s.link.do(ctx, func(b *sarama.Broker) (sarama.KError, error) {
		resp, err := b.DescribeGroups(&sarama.DescribeGroupsRequest{Version: 4, Groups: []string{s.g.o.Group}})
		if err != nil {
			return 0, err
		}
		if len(resp.Groups) != 1 {
			return 0, sarama.ErrIncompleteResponse
		}
		d = resp.Groups[0]
		return d.Err, nil
	})
	if err != nil || d == nil || d.Err != sarama.ErrNoError {
		return fmt.Errorf("%w: group.id=%s is used by others: if those are Kafka Connect workers of the JVM, stop them first; "+
			"this worker then goes on by itself", ErrMixedGroup, s.g.o.Group)
	}
	var who []string
	for _, m := range d.Members {
		who = append(who, fmt.Sprintf("%s at %s", m.ClientId, strings.TrimPrefix(m.ClientHost, "/")))
	}
	slices.Sort(who)
	if d.ProtocolType != groupType {
		return fmt.Errorf("%w: group.id=%s is used by clients of type %q (%s): give this cluster a group.id of its own",
			ErrMixedGroup, s.g.o.Group, d.ProtocolType, strings.Join(who, ", "))
	}
	protocol := ""
	if d.Protocol != "" {
		protocol = "protocol " + d.Protocol + ", "
	}
	return fmt.Errorf("%w: Kafka Connect workers of the JVM are in group %s (%s%s): stop them first; this worker then goes on by itself",
		ErrMixedGroup, s.g.o.Group, protocol, strings.Join(who, ", "))
}
