package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/freshet-io/freshet/runtime/herder"
)

// round joins, plans when this worker leads, and returns what it was given. A round that another one overtakes is held again.
func (s *session) round(ctx context.Context) (assignment, error) {
	for {
		select {
		case <-s.g.rejoin: // what is asked for so far is in what follows
		default:
		}
		if s.wait != nil {
			s.wait.Stop()
			s.wait = nil
		}
		resp, err := s.join(ctx)
		if err != nil {
			return assignment{}, err
		}
		req := &sarama.SyncGroupRequest{Version: 5, GroupId: s.g.o.Group, GenerationId: s.generation, MemberId: s.id}
		typ, protocol := groupType, groupProtocol
		req.ProtocolType, req.ProtocolName = &typ, &protocol
		next, delay := s.history, time.Duration(0)
		if resp.LeaderId == s.id {
			if req.GroupAssignments, next, delay, err = s.lead(ctx, resp); err != nil {
				return assignment{}, err
			}
		}
		a, code, err := s.sync(ctx, req)
		switch {
		case err != nil:
			return a, err
		case code == sarama.ErrRebalanceInProgress:
			continue
		case code != sarama.ErrNoError:
			return a, s.refused("take its share of the work", code)
		}
		s.history = next
		if delay > 0 {
			s.wait = time.NewTimer(delay)
		}
		return a, nil
	}
}

// join waits until all members have joined.
func (s *session) join(ctx context.Context) (*sarama.JoinGroupResponse, error) {
	me := metadata{url: s.g.o.URL, version: s.g.o.Version, offset: s.m.Offset(), running: s.holds()}
	own := me.encode()
	s.keeper.join()
	for {
		var resp *sarama.JoinGroupResponse
		code, err := s.link.do(ctx, func(b *sarama.Broker) (sarama.KError, error) {
			var err error
			resp, err = b.JoinGroup(&sarama.JoinGroupRequest{
				Version: 7, GroupId: s.g.o.Group, MemberId: s.id, ProtocolType: groupType,
				SessionTimeout: int32(s.g.o.SessionTimeout.Milliseconds()), RebalanceTimeout: int32(s.g.o.RebalanceTimeout.Milliseconds()),
				OrderedGroupProtocols: []*sarama.GroupProtocol{{Name: groupProtocol, Metadata: own}},
			})
			if err != nil {
				return 0, err
			}
			return resp.Err, nil
		})
		switch {
		case err != nil:
			return nil, err
		case code == sarama.ErrMemberIdRequired:
			s.id = resp.MemberId
			continue
		case code == sarama.ErrInconsistentGroupProtocol:
			return nil, s.describe(ctx)
		case code != sarama.ErrNoError:
			return nil, s.refused("join", code)
		}
		s.id, s.generation = resp.MemberId, resp.GenerationId
		s.keeper.joined(s.id, s.generation)
		return resp, nil
	}
}

// refused makes an error of a code that ends the membership.
func (s *session) refused(what string, code sarama.KError) error {
	var why error
	switch code {
	case sarama.ErrUnknownMemberId, sarama.ErrIllegalGeneration, sarama.ErrFencedInstancedId:
		why = errForgotten
	case sarama.ErrGroupAuthorizationFailed, sarama.ErrInvalidGroupId, sarama.ErrInvalidSessionTimeout, sarama.ErrTopicAuthorizationFailed,
		sarama.ErrClusterAuthorizationFailed:
		why = errRefused
	default:
		return fmt.Errorf("%s in group %s: %w", what, s.g.o.Group, code)
	}
	hint := ""
	switch code {
	case sarama.ErrGroupAuthorizationFailed:
		hint = " (grant this user READ and DESCRIBE on the group)"
	case sarama.ErrInvalidSessionTimeout:
		hint = fmt.Sprintf(" (session.timeout.ms=%d is not between the broker's group.min.session.timeout.ms and group.max.session.timeout.ms)",
			s.g.o.SessionTimeout.Milliseconds())
	}
	return fmt.Errorf("%s in group %s: %w: %w%s", what, s.g.o.Group, why, code, hint)
}

// sync hands out the leader's plan, or waits for it.
func (s *session) sync(ctx context.Context, req *sarama.SyncGroupRequest) (assignment, sarama.KError, error) {
	var bytes []byte
	code, err := s.link.do(ctx, func(b *sarama.Broker) (sarama.KError, error) {
		resp, err := b.SyncGroup(req)
		if err != nil {
			return 0, err
		}
		bytes = resp.MemberAssignment
		return resp.Err, nil
	})
	if err != nil || code != sarama.ErrNoError {
		return assignment{}, code, err
	}
	a, err := decodeAssignment(bytes)
	return a, code, err
}

// lead plans the round.
func (s *session) lead(ctx context.Context, resp *sarama.JoinGroupResponse) ([]sarama.SyncGroupRequestAssignment, history, time.Duration, error) {
	if s.led != s.generation-1 {
		s.history = history{} // others may have led in between
	}
	s.led = s.generation
	var members []peer
	var behind int64
	for _, gm := range resp.Members {
		m, err := decodeMetadata(gm.Metadata)
		if err != nil {
			return nil, s.history, 0, fmt.Errorf("plan the work of group %s: member %s: %w", s.g.o.Group, gm.MemberId, err)
		}
		members = append(members, peer{gm.MemberId, m.url, m.running})
		behind = max(behind, m.offset)
	}
	base := assignment{leader: s.id, leaderURL: s.g.o.URL}
	if behind > s.m.Offset() {
		sync, cancel := context.WithTimeout(ctx, s.g.o.SyncTimeout)
		err := s.m.Sync(sync, behind)
		cancel()
		if ctx.Err() != nil {
			return nil, s.history, 0, context.Cause(ctx)
		}
		if err != nil {
			base.err, base.offset = errorBehind, behind
			return base.forAll(members, unchanged(members)), s.history, 0, nil
		}
	}
	base.offset = s.m.Offset()
	p, next := spread(s.history, time.Now(), s.g.o.MaxDelay, members, s.m.Work())
	base.again, base.delay = p.again, p.delay
	s.owners, s.ran = map[herder.TaskID]string{}, map[herder.TaskID]bool{}
	for _, m := range members {
		for _, id := range m.running {
			s.ran[id] = true
		}
		for _, id := range p.shares[m.id].tasks {
			s.owners[id] = m.url
		}
	}
	s.g.o.Logger.Debug("this worker leads its group and has shared out the work", "group", s.g.o.Group, "generation", s.generation,
		"members", len(members), "again", p.again, "delay", p.delay)
	return base.forAll(members, p.shares), next, p.delay, nil
}

func unchanged(members []peer) map[string]share {
	shares := map[string]share{}
	for _, m := range members {
		shares[m.id] = share{tasks: m.running}
	}
	return shares
}

// forAll is what each member is told.
func (a assignment) forAll(members []peer, shares map[string]share) []sarama.SyncGroupRequestAssignment {
	var out []sarama.SyncGroupRequestAssignment
	for _, m := range members {
		a.tasks, a.revoked = shares[m.id].tasks, shares[m.id].revoked
		out = append(out, sarama.SyncGroupRequestAssignment{MemberId: m.id, Assignment: a.encode()})
	}
	return out
}

// leave tells the coordinator, if it can be reached, so that the others need not wait for the end of the session.
func (s *session) leave() {
	if s.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	_, err := s.link.do(ctx, func(b *sarama.Broker) (sarama.KError, error) {
		resp, err := b.LeaveGroup(&sarama.LeaveGroupRequest{
			Version: 4, GroupId: s.g.o.Group, Members: []sarama.MemberIdentity{{MemberId: s.id}},
		})
		if err != nil {
			return 0, err
		}
		return resp.Err, nil
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.g.o.Logger.Debug("the group was not told that this worker leaves", "group", s.g.o.Group, "error", err)
	}
}

var _ herder.Group = (*Group)(nil)
