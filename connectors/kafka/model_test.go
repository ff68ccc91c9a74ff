package kafka

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// model is a broker that does what brokers and networks do in bad hours: requests and answers get lost, come late or twice,
// connections break, and the broker refuses what it need not. What it says it has done it has done.
type model struct {
	*kfake.Cluster

	mu     sync.Mutex
	rng    *rand.Rand
	odds   int // one in so many requests of a producer goes wrong; 0: none
	struck map[string]int

	owners map[string]*owner // only the cluster's goroutine has it
}

// owner is who holds a transactional id: kfake lets an older epoch initialise it again, brokers refuse that.
type owner struct {
	epoch int16
	asked int16 // the epoch that the present one was given for: that request may be repeated
	began bool  // the present one has begun a transaction
}

func newModel(seed uint64, odds int, opts ...kfake.Opt) (*model, error) {
	m := &model{rng: rand.New(rand.NewPCG(seed, 7)), odds: odds, struck: map[string]int{}, owners: map[string]*owner{}}
	opts = append(opts, kfake.NumBrokers(1), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return badListener{l, m}, err
	}))
	var err error
	if m.Cluster, err = kfake.NewCluster(opts...); err != nil {
		return nil, err
	}
	m.Control(m.refuse)
	return m, nil
}

// chance reports whether something goes wrong now, and draws what, below n.
func (m *model) chance(n int) (int, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.odds == 0 || m.rng.IntN(m.odds) > 0 {
		return 0, false
	}
	return m.rng.IntN(n), true
}

func (m *model) pause(most time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Duration(m.rng.Int64N(int64(most)))
}

func (m *model) note(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.struck[what]++
}

// calm ends the bad hours.
func (m *model) calm() (struck map[string]int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.odds = 0
	return m.struck
}

// refusals are what a broker may answer at any time, in place of doing what was asked (but for a time-out of Produce, which is
// done).
var refusals = map[kmsg.Key][]*kerr.Error{
	kmsg.Produce: {
		kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicas, kerr.KafkaStorageError, kerr.InvalidTxnState,
		kerr.TransactionAbortable, kerr.InvalidProducerEpoch, kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber,
	},
	kmsg.AddPartitionsToTxn: {
		kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.TransactionAbortable, kerr.ProducerFenced,
	},
	kmsg.EndTxn: {
		kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.TransactionAbortable, kerr.InvalidProducerEpoch,
	},
	kmsg.InitProducerID: {kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress},
}

// repeated is a request for a transactional id that was done before, and comes again when the epoch that it got is at work: brokers
// end that one's transaction and raise the epoch once more.
const repeated = "InitProducerID repeated"

// refuse runs on the cluster's goroutine, once for each request.
func (m *model) refuse(r kmsg.Request) (kmsg.Response, error, bool) {
	m.KeepControl()
	key := kmsg.Key(r.Key())
	if add, ok := r.(*kmsg.AddPartitionsToTxnRequest); ok {
		if o := m.owners[add.TransactionalID]; o != nil && o.epoch == add.ProducerEpoch {
			o.began = true
		}
	}
	if list := refusals[key]; list != nil && key != kmsg.InitProducerID {
		if i, ok := m.chance(len(list)); ok {
			m.note(key.Name() + " " + list[i].Message)
			m.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: list[i], Count: 1 + i%2}) // of the next request
		}
		return nil, nil, false
	}
	req, ok := r.(*kmsg.InitProducerIDRequest)
	if !ok || req.TransactionalID == nil {
		return nil, nil, false
	}
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	if i, ok := m.chance(len(refusals[key])); ok {
		resp.ErrorCode = refusals[key][i].Code
		m.note(key.Name() + " " + refusals[key][i].Message)
		return resp, nil, true
	}
	o := m.owners[*req.TransactionalID]
	switch {
	case o == nil:
		m.owners[*req.TransactionalID] = &owner{asked: -1}
		return nil, nil, false
	case req.ProducerID >= 0 && req.ProducerEpoch != o.epoch && (o.asked < 0 || req.ProducerEpoch != o.asked):
		resp.ErrorCode = kerr.ProducerFenced.Code
		return resp, nil, true
	}
	if req.ProducerID >= 0 && req.ProducerEpoch != o.epoch {
		if !o.began { // done already: the answer is the same
			resp.ProducerID, resp.ProducerEpoch = req.ProducerID, o.epoch
			return resp, nil, true
		}
		m.note(repeated) // who got the answer before has the epoch below
	}
	o.asked, o.began = -1, false
	if req.ProducerID >= 0 {
		o.asked = req.ProducerEpoch
	}
	o.epoch++
	return nil, nil, false
}

type badListener struct {
	net.Listener
	m *model
}

func (l badListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &badConn{Conn: c, m: l.m, lost: map[int32]bool{}, echoes: map[int32]int{}}, nil
}

// badConn is a broker's side of a connection, request by request. kfake reads in one goroutine at a time and writes each answer
// whole.
type badConn struct {
	net.Conn
	m      *model
	unread []byte
	over   bool // nothing more is read
	mu     sync.Mutex
	lost   map[int32]bool // by correlation id: the connection ends in place of the answer
	echoes map[int32]int  // answers still to come of a request that came twice
	slow   time.Duration  // before the next answer
}

func (c *badConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		if c.over {
			return 0, io.EOF
		}
		frame := make([]byte, 4)
		if _, err := io.ReadFull(c.Conn, frame); err != nil {
			return 0, err
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
		if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
			return 0, err
		}
		if err := c.disturb(frame); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// disturb decides what becomes of a request.
func (c *badConn) disturb(frame []byte) error {
	key, corr := kmsg.Key(binary.BigEndian.Uint16(frame[4:])), int32(binary.BigEndian.Uint32(frame[8:]))
	c.unread = frame
	if refusals[key] == nil {
		return nil
	}
	i, ok := c.m.chance(6)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch i {
	case 0:
		c.m.note(key.Name() + " lost")
		c.unread, c.over = nil, true
		_ = c.Conn.Close()
		return io.EOF
	case 1:
		c.m.note(key.Name() + " done, answer lost")
		c.lost[corr] = true
	case 2: // the client takes it for lost and asks again meanwhile
		c.m.note(key.Name() + " done late")
		_ = c.Conn.Close()
		c.over = true
		<-time.After(c.m.pause(30 * time.Millisecond))
	case 3:
		c.m.note(key.Name() + " slow")
		<-time.After(c.m.pause(20 * time.Millisecond))
	case 4:
		c.m.note(key.Name() + " answered slowly")
		c.slow = c.m.pause(20 * time.Millisecond)
	case 5:
		if key == kmsg.InitProducerID || key == kmsg.EndTxn { // refused, and done a moment later: no producer can be told so
			return nil
		}
		c.m.note(key.Name() + " twice")
		c.echoes[corr] = 2
		c.unread = append(frame[:len(frame):len(frame)], frame...)
	}
	return nil
}

// Write takes one answer.
func (c *badConn) Write(p []byte) (int, error) {
	corr := int32(binary.BigEndian.Uint32(p[4:]))
	c.mu.Lock()
	lost, pause := c.lost[corr], c.slow
	c.slow = 0
	echo := c.echoes[corr] == 1
	if c.echoes[corr] > 0 {
		c.echoes[corr]--
	}
	c.mu.Unlock()
	if pause > 0 {
		<-time.After(pause)
	}
	switch {
	case lost:
		_ = c.Conn.Close()
		return 0, errors.New("cut")
	case echo:
		return len(p), nil
	}
	return c.Conn.Write(p)
}
