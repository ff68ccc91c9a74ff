package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/freshet-io/freshet/kafkaclient"
)

const linkPause = time.Second // at most, between attempts to reach the coordinator

// link is a way to the group's coordinator with connections of its own, for one call at a time: a broker takes no second request from
// a connection before it has answered the first, and a join waits for all members.
type link struct {
	cfg    *kafkaclient.Config
	group  string
	conf   *sarama.Config
	dialer net.Dialer
	// trouble hears why the coordinator cannot be asked, when that takes longer than a usual move of it.
	trouble func(error)
	client  sarama.Client

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	dial  context.Context
}

// newLink makes a link whose connections are given up after so long without an answer.
func newLink(cfg *kafkaclient.Config, group string, patience time.Duration, trouble func(error)) *link {
	l := &link{cfg: cfg, group: group, conf: cfg.Sarama(), trouble: trouble, conns: map[net.Conn]struct{}{}, dial: context.Background()}
	l.conf.Net.ReadTimeout = patience
	l.conf.Net.DialTimeout = min(l.conf.Net.DialTimeout, patience)
	l.conf.Metadata.AllowAutoTopicCreation = false
	l.dialer = net.Dialer{Timeout: l.conf.Net.DialTimeout, KeepAlive: l.conf.Net.KeepAlive, LocalAddr: l.conf.Net.LocalAddr}
	l.conf.Net.Proxy.Enable, l.conf.Net.Proxy.Dialer = true, l
	return l
}

// Dial connects to a broker; sarama calls it.
func (l *link) Dial(network, address string) (net.Conn, error) {
	l.mu.Lock()
	ctx := l.dial
	l.mu.Unlock()
	c, err := l.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		_ = c.Close() // nobody waits for it any more
		return nil, ctx.Err()
	}
	conn := &linkConn{c, l}
	l.conns[conn] = struct{}{}
	return conn, nil
}

type linkConn struct {
	net.Conn
	link *link
}

func (c *linkConn) Close() error {
	c.link.mu.Lock()
	delete(c.link.conns, c)
	c.link.mu.Unlock()
	return c.Conn.Close()
}

// cut breaks the connections: a call under way fails.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.(*linkConn).Conn.Close() // sarama closes it again
	}
	clear(l.conns)
}

func (l *link) close() {
	l.cut()
	if l.client != nil {
		_ = l.client.Close() // it only reports that it was closed before
	}
}

// do asks the coordinator, wherever it is, until it answers with something that concerns the caller or ctx ends.
func (l *link) do(ctx context.Context, call func(*sarama.Broker) (sarama.KError, error)) (sarama.KError, error) {
	for attempt := 1; ; attempt++ {
		code, err := l.once(ctx, attempt > 1, call)
		switch {
		case ctx.Err() != nil:
			return 0, errors.Join(context.Cause(ctx), err)
		case err == nil && !elsewhere(code):
			return code, nil
		case err == nil:
			err = code
		}
		if attempt > 5 {
			l.trouble(fmt.Errorf("ask the coordinator of group %s: %w", l.group, err))
		}
		select {
		case <-time.After(min(time.Duration(attempt)*20*time.Millisecond, linkPause)):
		case <-ctx.Done():
			return 0, errors.Join(context.Cause(ctx), err)
		}
	}
}

// elsewhere tells the answers of a broker that does not coordinate the group, not yet or not any more.
func elsewhere(code sarama.KError) bool {
	switch code {
	case sarama.ErrNotCoordinatorForConsumer, sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrOffsetsLoadInProgress,
		sarama.ErrRequestTimedOut, sarama.ErrNetworkException, sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend:
		return true
	}
	return false
}

func (l *link) once(ctx context.Context, refresh bool, call func(*sarama.Broker) (sarama.KError, error)) (sarama.KError, error) {
	l.mu.Lock()
	l.dial = ctx
	l.mu.Unlock()
	type answer struct {
		code sarama.KError
		err  error
	}
	ch := make(chan answer, 1)
	go func() {
		code, err := l.ask(refresh, call)
		ch <- answer{code, err}
	}()
	select {
	case a := <-ch:
		return a.code, a.err
	case <-ctx.Done():
		l.cut()
		a := <-ch
		return a.code, a.err
	}
}

func (l *link) ask(refresh bool, call func(*sarama.Broker) (sarama.KError, error)) (sarama.KError, error) {
	if l.client == nil {
		client, err := sarama.NewClient(l.cfg.Brokers, l.conf)
		if err != nil {
			return 0, err
		}
		l.client = client
	} else if refresh {
		if err := l.client.RefreshCoordinator(l.group); err != nil {
			return 0, err
		}
	}
	b, err := l.client.Coordinator(l.group)
	if err != nil {
		return 0, err
	}
	code, err := call(b)
	if err != nil {
		_ = b.Close() // a broken connection is of no more use; it may be closed already
	}
	return code, err
}
