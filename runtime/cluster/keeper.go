package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// keeper keeps a membership alive and knows when it is over. A membership is a lease: the broker gives the work away when it has heard
// nothing for the session's time, counted from when it received the last heartbeat; here it ends a little earlier, counted from when
// that heartbeat was sent, so that everything has stopped by then (I6). Time is that of a clock that also passes while the process or
// the machine is stopped. One goroutine, "heartbeat".
type keeper struct {
	o     *GroupOptions
	now   func() time.Duration
	link  *link
	over  context.CancelCauseFunc // of the session
	unmet func()                  // the coordinator does not know of the join under way
	ended chan struct{}
	poke  chan struct{}
	// rebalance is signalled when another round has begun.
	rebalance chan struct{}

	mu         sync.Mutex
	id         string
	generation int32
	until      time.Duration // end of the lease; 0: there is none yet
	joining    bool          // a join has been sent
	strange    int           // answers while joining that tell of no round
	stable     time.Duration // when the last heartbeat was sent that told of no round
	joinBy     time.Duration // the round under way goes on without this member then; 0: none
	hurry      time.Duration // heartbeats are frequent until then, for rounds come in groups
}

var (
	errExpired   = errors.New("no heartbeat was answered in time")
	errLate      = errors.New("this worker could not stop in time what others are to run (rebalance.timeout.ms)")
	errForgotten = errors.New("the coordinator does not know this member any more")
	errClosed    = errors.New("the session is closed")
)

const (
	hurryPause = 100 * time.Millisecond // between heartbeats after a round
	hurryTime  = 5 * time.Second
	keeperTick = 250 * time.Millisecond // the lease is looked at so often
)

func startKeeper(ctx context.Context, g *Group, over context.CancelCauseFunc, unmet func()) *keeper {
	k := &keeper{
		o: &g.o, now: g.clock, over: over, unmet: unmet, ended: make(chan struct{}), poke: make(chan struct{}, 1), rebalance: make(chan struct{}, 1),
		link: newLink(g.o.Config, g.o.Group, g.o.beatLimit(), func(err error) { g.o.Logger.Debug("a heartbeat is sent again", "error", err) }),
	}
	go k.run(ctx)
	return k
}

// margin is for how long before its end a lease is given up.
func (o *GroupOptions) margin() time.Duration { return o.SessionTimeout / 5 }

// beatLimit is for how long an answer to a heartbeat is waited for, so that another can be sent in time.
func (o *GroupOptions) beatLimit() time.Duration { return o.SessionTimeout / 5 }

// join tells that a join is being sent.
func (k *keeper) join() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.joining, k.strange, k.joinBy = true, 0, 0
	select {
	case <-k.rebalance:
	default:
	}
}

// joined tells of the generation that the member is in, and that the coordinator knew it when something was sent to it.
func (k *keeper) joined(id string, generation int32) {
	k.mu.Lock()
	if k.until == 0 { // nothing runs here yet: the lease counts from now, and its first use is to be answered
		k.until = k.now() + k.o.SessionTimeout - k.o.margin()
	}
	k.id, k.generation, k.joining, k.stable = id, generation, false, k.now()
	k.hurry = k.stable + hurryTime
	k.mu.Unlock()
	wake(k.poke)
}

func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (k *keeper) run(ctx context.Context) {
	defer close(k.ended)
	defer k.link.close()
	tick := time.NewTicker(keeperTick)
	defer tick.Stop()
	var next time.Duration
	for {
		poked := false
		k.mu.Lock()
		pause := k.o.HeartbeatInterval
		if k.now() < k.hurry {
			pause = min(pause, hurryPause)
		}
		k.mu.Unlock()
		timer := time.NewTimer(max(0, min(next, k.now()+pause)-k.now()))
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-timer.C:
		case <-k.poke:
			poked = true
		}
		timer.Stop()
		if ctx.Err() != nil || k.expired() {
			return
		}
		if poked || k.now() >= next {
			if !k.beat(ctx) {
				pause = min(pause, hurryPause)
			}
			next = k.now() + pause
		}
	}
}

// expired ends the session when its lease is over.
func (k *keeper) expired() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	switch {
	case k.until > 0 && now >= k.until:
		k.over(fmt.Errorf("%w (session.timeout.ms=%d)", errExpired, k.o.SessionTimeout.Milliseconds()))
	case k.joinBy > 0 && now >= k.joinBy:
		k.over(errLate)
	default:
		return false
	}
	return true
}

// beat sends one heartbeat; false: it was not answered.
func (k *keeper) beat(ctx context.Context) bool {
	k.mu.Lock()
	id, generation, until := k.id, k.generation, k.until
	k.mu.Unlock()
	if until == 0 {
		return true
	}
	sent := k.now()
	ctx, cancel := context.WithTimeout(ctx, min(k.o.beatLimit(), until-sent))
	defer cancel()
	code, err := k.link.do(ctx, func(b *sarama.Broker) (sarama.KError, error) {
		sent = k.now()
		resp, err := b.Heartbeat(&sarama.HeartbeatRequest{Version: 4, GroupId: k.o.Group, GenerationId: generation, MemberId: id})
		if err != nil {
			return 0, err
		}
		return resp.Err, nil
	})
	if err != nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case code == sarama.ErrNoError, code == sarama.ErrRebalanceInProgress:
		k.until = max(k.until, sent+k.o.SessionTimeout-k.o.margin())
	case code == sarama.ErrIllegalGeneration && (k.joining || generation != k.generation):
	case code == sarama.ErrUnknownMemberId, code == sarama.ErrIllegalGeneration, code == sarama.ErrFencedInstancedId:
		k.over(fmt.Errorf("%w: %w", errForgotten, code))
		return true
	default:
		k.o.Logger.Warn("a heartbeat was refused", "group", k.o.Group, "error", code)
	}
	if generation == k.generation {
		k.heard(code, sent)
	}
	return true
}

// heard draws conclusions about rounds; k.mu is held.
func (k *keeper) heard(code sarama.KError, sent time.Duration) {
	begun := code == sarama.ErrRebalanceInProgress
	switch {
	case k.joining && begun:
		k.strange = 0
	case k.joining: // the coordinator has the group at rest, or in a generation whose answer was lost
		if k.strange++; k.strange > 1 {
			k.strange = 0
			k.unmet()
		}
	case begun:
		if k.joinBy == 0 {
			k.joinBy = k.stable + k.o.RebalanceTimeout - k.o.margin()
		}
		wake(k.rebalance)
	case code == sarama.ErrNoError:
		k.stable = max(k.stable, sent)
	}
}
