package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Pool hands out Sessions: configs with equal connection properties share one. The zero Pool is ready for use.
type Pool struct {
	Logger *slog.Logger // of brokers that do not answer; nil: the default one

	mu       sync.Mutex
	sessions map[string]*Session
}

// Session is a set of broker connections with their metadata, shared by everything whose connection properties are equal.
type Session struct {
	pool    *Pool
	key     string
	brokers []string

	opening chan struct{} // closed when client or err is set
	client  sarama.Client
	outlets *outlets
	err     error
	users   int // guarded by pool.mu

	mu          sync.Mutex
	generations map[*sarama.Broker]uint64 // raised when a connection is dropped
}

// Open returns a session for the config and connects if none is open yet. Every Open needs a Close. The error of an
// unreachable cluster names its addresses.
func (p *Pool) Open(ctx context.Context, c *Config) (*Session, error) {
	p.mu.Lock()
	s := p.sessions[c.key]
	if s == nil {
		s = &Session{
			pool: p, key: c.key, brokers: c.Brokers, opening: make(chan struct{}),
			generations: map[*sarama.Broker]uint64{}, outlets: newOutlets(),
		}
		if p.sessions == nil {
			p.sessions = map[string]*Session{}
		}
		p.sessions[c.key] = s
		go s.open(c.Sarama())
	}
	s.users++
	p.mu.Unlock()

	select {
	case <-s.opening:
	case <-ctx.Done():
		s.Close()
		err := ctx.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no broker has answered: %w: %s", err, askedWrong)
		}
		return nil, fmt.Errorf("connect to Kafka at %s: %w", strings.Join(c.Brokers, ","), err)
	}
	if s.err != nil {
		s.Close()
		return nil, s.err
	}
	return s, nil
}

const (
	// connectPatience is after how long the log says that brokers are being waited for.
	connectPatience = 3 * time.Second
	askedWrong      = "check bootstrap.servers, that it is brokers that listen there, and that security.protocol fits their listener"
)

// tell says what is being waited for, if anybody waits.
func (s *Session) tell() {
	s.pool.mu.Lock()
	users := s.users
	s.pool.mu.Unlock()
	if users == 0 {
		return
	}
	log := s.pool.Logger
	if log == nil {
		log = slog.Default()
	}
	log.Warn("no Kafka broker has answered yet; waiting for one: "+askedWrong, "brokers", s.brokers)
}

// open connects; it ends by itself within the dial time limits.
func (s *Session) open(conf *sarama.Config) {
	defer time.AfterFunc(connectPatience, s.tell).Stop()
	s.outlets.dialFor(conf)
	client, err := sarama.NewClient(s.brokers, conf)
	if err == nil {
		// One question proves the addresses, TLS and credentials, and tells brokers and controller.
		if err = client.RefreshMetadata(); err != nil && !partlyDown(err) {
			_ = client.Close() // the first error is the one to report
		}
	}
	if partlyDown(err) {
		err = nil
	}
	s.pool.mu.Lock()
	abandoned := s.users == 0
	if err != nil {
		s.err = unreachable(s.brokers, conf, err)
		s.forget()
	} else {
		s.client = client
	}
	close(s.opening)
	s.pool.mu.Unlock()
	if err == nil && abandoned {
		_ = client.Close() // nobody is left to hear of it
	}
}

// partlyDown reports that the cluster answered, although some topics have no leader or may not be seen.
func partlyDown(err error) bool {
	return errors.Is(err, sarama.ErrLeaderNotAvailable) || errors.Is(err, sarama.ErrReplicaNotAvailable) ||
		errors.Is(err, sarama.ErrTopicAuthorizationFailed) || errors.Is(err, sarama.ErrUnknownTopicOrPartition)
}

// forget takes the session out of the pool; pool.mu is held.
func (s *Session) forget() {
	if s.pool.sessions[s.key] == s {
		delete(s.pool.sessions, s.key)
	}
}

// Close gives the session back; the last one to do so closes its connections.
func (s *Session) Close() {
	s.pool.mu.Lock()
	s.users--
	last := s.users == 0
	if last {
		s.forget()
	}
	client := s.client
	s.pool.mu.Unlock()
	if last && client != nil {
		_ = client.Close() // it only reports that it was closed before
	}
}

// Client returns the sarama client, for the group calls of the worker cluster.
func (s *Session) Client() sarama.Client { return s.client }

// Brokers returns the bootstrap addresses.
func (s *Session) Brokers() []string { return s.brokers }

// generation names the present connection of a broker, to be given to drop.
func (s *Session) generation(b *sarama.Broker) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generations[b]
}

// drop closes a broken connection so that the next use opens a new one, unless another user of the session did already.
func (s *Session) drop(b *sarama.Broker, generation uint64) {
	s.mu.Lock()
	stale := s.generations[b] != generation
	if !stale {
		s.generations[b]++
	}
	s.mu.Unlock()
	if !stale {
		_ = b.Close() // a connection that is closed already is what we want
	}
}

func unreachable(brokers []string, conf *sarama.Config, err error) error {
	at := strings.Join(brokers, ",")
	switch {
	case errors.Is(err, sarama.ErrSASLAuthenticationFailed), errors.Is(err, sarama.ErrUnsupportedSASLMechanism), strings.Contains(err.Error(), "SCRAM"):
		return fmt.Errorf("log in to Kafka at %s as %q: %w: %w: check sasl.mechanism and sasl.jaas.config", at, conf.Net.SASL.User, ErrLogin, oneLine{err})
	case strings.Contains(err.Error(), "x509:"), strings.Contains(err.Error(), "tls:"):
		return fmt.Errorf("open TLS to Kafka at %s: %w: check security.protocol, ssl.truststore.* and the name in the certificate", at, err)
	}
	hint := "check bootstrap.servers, that the brokers run, and that security.protocol fits their listener"
	if conf.Net.SASL.Enable {
		hint += ", and sasl.mechanism and sasl.jaas.config"
	}
	return fmt.Errorf("connect to Kafka at %s: %w: %s", at, oneLine{err}, hint)
}

// oneLine joins the lines of sarama's error, one per broker, and drops repeats.
type oneLine struct{ error }

func (e oneLine) Unwrap() error { return e.error }

func (e oneLine) Error() string {
	return strings.Join(slices.Compact(strings.Split(e.error.Error(), "\n")), "; ")
}

// wait runs a blocking call of sarama that knows no context. When ctx ends first the call goes on by itself until its own
// time limit, and its result is dropped.
func wait[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	ch := make(chan result, 1)
	go func() {
		v, err := call()
		ch <- result{v, err}
	}()
	select {
	case r := <-ch:
		return r.v, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}
