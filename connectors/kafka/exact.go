package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/kafkastore"
)

// exactSink writes exactly once: batches and the offset record behind them are one transaction (KIP-618). One transaction is
// open at a time; what is put while one commits goes whole into the next (I11). The producer keeps a transaction's records
// until it is committed and sends them again when it is aborted.
//
// One goroutine, "commit": it cuts and commits, and ends with Stop or the first failure.
type exactSink struct {
	*writer
	storeOptions kafkastore.Options
	interval     time.Duration // a transaction stays open for so long (transaction.boundary=interval); 0: poll
	store        *kafkastore.Store
	offsets      *kafkaclient.Topic

	cancel context.CancelFunc
	ended  chan struct{}
	wake   chan struct{}

	mu      sync.Mutex // held while a batch is appended, so that a cut falls between batches
	pending []taken    // appended, not yet cut
	records int        // in pending
	since   time.Time  // pending began
	cutting bool       // a transaction is being committed
	hurry   bool       // somebody waits in Flush
	settled chan struct{}
	err     error

	known     sync.Mutex                           // of what follows
	claim     kafkaclient.Claim                    // of the instance before; from Start on of this one
	committed map[offsets.Partition]offsets.Offset // as last read or committed
	ending    []offsets.Entry                      // of the transaction that is being committed
	own       map[offsets.Partition]bool           // that this sink has ever written; other tasks of the connector write others
}

// taken is what is left of a batch after its records were appended.
type taken struct {
	id      connectors.BatchID
	bytes   int
	partial connectors.Progress
	extra   []offsets.Entry
}

// positionPause is how long positions without records may wait for company, so that an idle source costs one transaction a second.
const positionPause = time.Second

func newExactSink(w *writer, c, worker connectors.Config) (*exactSink, error) {
	o, err := kafkastore.WorkerOptions(worker)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	if topic := strings.TrimSpace(c[keyOffsets]); topic != "" {
		o.Topic = topic
	}
	if o.Topic == "" {
		o.Topic = defaultOffsetsTopic
	}
	o.Config, o.Logger = w.config, w.log
	interval, err := readBoundary(c, worker)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	if most := w.config.Producer.TransactionTimeout * 2 / 3; interval > most {
		interval = most
		if w.log != nil {
			w.log.Warn("a transaction may not stay open for the whole interval: raise transaction.timeout.ms, or lower the interval",
				"interval", interval, "transaction.timeout.ms", w.config.Producer.TransactionTimeout.Milliseconds())
		}
	}
	s := &exactSink{writer: w, storeOptions: o, interval: interval, wake: make(chan struct{}, 1), own: map[offsets.Partition]bool{}}
	if text := w.settings.Claim; text != "" {
		if err := json.Unmarshal([]byte(text), &s.claim); err != nil {
			return nil, connectors.AsPermanent(fmt.Errorf("read the claim of the instance before: %w", err))
		}
	}
	return s, nil
}

// Claim implements connectors.Claimant.
func (s *exactSink) Claim() string {
	s.known.Lock()
	defer s.known.Unlock()
	if !s.claim.Held {
		return ""
	}
	text, _ := json.Marshal(s.claim) // numbers and booleans
	return string(text)
}

// hold notes what the producer holds while it works: whoever asks then goes on where the process was killed, perhaps in a transaction.
func (s *exactSink) hold(c kafkaclient.Claim) {
	s.known.Lock()
	defer s.known.Unlock()
	s.claim, s.claim.Open = c, true
}

// claimed tells of a claim before anything is done under it (kafkaclient.ProducerOptions.Claimed): the process may be killed at any time.
func (s *exactSink) claimed(ctx context.Context, c kafkaclient.Claim) {
	s.hold(c)
	if k, ok := s.task.(connectors.ClaimKeeper); ok {
		k.KeepClaim(ctx, s.Claim())
	}
}

// Start implements connectors.SinkTask. The producer comes first: it fences the earlier owner before offsets are read.
func (s *exactSink) Start(ctx context.Context, task connectors.SinkSession) error {
	options := kafkaclient.ProducerOptions{Spare: task.Charge, Recall: s.recall, Claim: s.claim, Claimed: s.claimed}
	if err := s.connect(ctx, task, options); err != nil {
		return err
	}
	s.hold(s.producer.Claim())
	o := s.storeOptions
	o.Session, o.Later = s.session, true
	var err error
	if s.store, err = kafkastore.Open(ctx, o); err != nil {
		return classify(err)
	}
	if s.offsets, err = s.producer.Topic(ctx, o.Topic); err != nil {
		return classify(err)
	}
	if _, err := s.load(ctx); err != nil {
		return classify(err)
	}
	s.settled = make(chan struct{})
	s.ended = make(chan struct{})
	var commitCtx context.Context
	commitCtx, s.cancel = context.WithCancel(context.Background())
	go s.commitLoop(commitCtx)
	return nil
}

// Put implements connectors.SinkTask.
func (s *exactSink) Put(ctx context.Context, b *connectors.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := s.write(ctx, b)
	if err == nil {
		err = s.task.Settle(ctx) // I1: the transaction has the position
	}
	if err != nil {
		s.fail(err) // a part of the batch is appended: this transaction must not be committed
		return err
	}
	s.producer.Mark(uint64(b.ID))
	s.task.Charge(n)
	if len(s.pending) == 0 {
		s.since = time.Now()
	}
	s.pending = append(s.pending, taken{
		id: b.ID, bytes: n, partial: connectors.Progress{Partition: b.Source, Offset: b.Offset, Through: b.Through}, extra: b.Extra,
	})
	s.records += len(b.Records)
	b.Release()
	s.signal()
	return nil
}

func (s *exactSink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// fail ends the sink; s.mu is held.
func (s *exactSink) fail(err error) {
	if s.err == nil {
		s.err = err
		s.announce()
	}
}

// announce tells Flush to look again; s.mu is held.
func (s *exactSink) announce() {
	close(s.settled)
	s.settled = make(chan struct{})
}

func (s *exactSink) commitLoop(ctx context.Context) {
	defer close(s.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		if !s.due(ctx) {
			continue
		}
		if err := s.commit(ctx); err != nil {
			if ctx.Err() == nil {
				s.task.Fail(err)
			}
			return
		}
	}
}

// due waits until the transaction may end: at once when it holds records, after the interval when one is set, after a pause
// when it holds only positions, or when somebody waits in Flush.
func (s *exactSink) due(ctx context.Context) bool {
	for {
		s.mu.Lock()
		none, hurry := len(s.pending) == 0 || s.err != nil, s.hurry
		open := s.interval
		if s.records == 0 {
			open = max(open, positionPause)
		}
		left := time.Until(s.since.Add(open))
		s.mu.Unlock()
		if none || hurry || left <= 0 {
			return !none
		}
		if !s.rest(ctx, left) {
			return false
		}
	}
}

// rest waits for something new, at most for d; false: ctx has ended.
func (s *exactSink) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.wake:
	case <-ctx.Done():
		return false
	}
	return true
}

// commit cuts and commits everything that is pending.
func (s *exactSink) commit(ctx context.Context) error {
	s.mu.Lock()
	batch := s.pending
	err := s.err
	if err == nil {
		err = s.appendOffsets(ctx, batch)
	}
	if err != nil {
		s.fail(err)
		s.mu.Unlock()
		return err
	}
	s.producer.Mark(0)
	s.producer.Cut()
	s.pending, s.records, s.cutting = nil, 0, true
	s.mu.Unlock()

	if err = s.producer.Commit(ctx); err == nil {
		s.remember()
	}

	s.mu.Lock()
	s.cutting = false
	if err != nil {
		err = classify(fmt.Errorf("commit to Kafka: %w", err))
		s.pending = append(batch, s.pending...) // neither durable nor lost: the next instance reads back what is
		s.fail(err)
		s.mu.Unlock()
		return err
	}
	s.mu.Unlock()
	for _, t := range batch {
		s.forget(t.id)
		s.task.Charge(-t.bytes)
		s.task.Ack(t.id)
	}
	s.mu.Lock()
	s.announce()
	s.mu.Unlock()
	return nil
}

// appendOffsets writes the newest position of every partition into the transaction: the connector's own record, or with
// several sinks the record of this one.
func (s *exactSink) appendOffsets(ctx context.Context, batch []taken) error {
	newest := map[offsets.Partition]connectors.Progress{}
	extra := map[offsets.Partition]offsets.Offset{}
	for _, t := range batch {
		if t.partial.Offset != "" {
			newest[t.partial.Partition] = t.partial
		}
		if s.settings.Sink == "" {
			for _, e := range t.extra {
				extra[e.Partition] = e.Offset
			}
		}
	}
	var entries []offsets.Entry
	for _, p := range newest {
		e, err := s.entry(p)
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	for p, o := range extra {
		entries = append(entries, offsets.Entry{Partition: p, Offset: o})
	}
	s.known.Lock()
	s.ending = entries
	for _, e := range entries {
		s.own[e.Partition] = true
	}
	s.known.Unlock()
	records, err := s.store.Records(s.settings.Connector, entries)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	now := time.Now().UnixMilli()
	for _, m := range records {
		r := kafkaclient.Record{Key: m.Key, Value: m.Value, Timestamp: now}
		if err := s.producer.Append(ctx, s.offsets, -1, &r); err != nil {
			return classify(fmt.Errorf("write offset record: %w", err))
		}
	}
	return nil
}

func (s *exactSink) entry(p connectors.Progress) (offsets.Entry, error) {
	if s.settings.Sink == "" {
		return offsets.Entry{Partition: p.Partition, Offset: p.Offset}, nil
	}
	e, err := p.Entry(s.settings.Sink)
	if err != nil {
		return e, connectors.AsPermanent(err)
	}
	return e, nil
}

// load reads the offset records of this connector and returns those that this sink had not committed before.
func (s *exactSink) load(ctx context.Context) (strange []offsets.Entry, err error) {
	entries, err := s.store.Load(ctx, s.settings.Connector)
	if err != nil {
		return nil, err
	}
	now := map[offsets.Partition]offsets.Offset{}
	for _, e := range entries {
		if s.settings.Sink != "" {
			plain, err := connectors.PlainPartition(e.Partition, s.settings.Sink)
			if err != nil {
				return nil, connectors.AsPermanent(err)
			}
			if plain == "" {
				continue // not this sink's
			}
		}
		now[e.Partition] = e.Offset
	}
	s.known.Lock()
	defer s.known.Unlock()
	for p, o := range now {
		if s.committed[p] != o {
			strange = append(strange, offsets.Entry{Partition: p, Offset: o})
		}
	}
	for p := range s.committed {
		if now[p] == "" {
			strange = append(strange, offsets.Entry{Partition: p})
		}
	}
	s.committed = now
	return strange, nil
}

// remember takes the offsets of the transaction that was committed for those that are stored.
func (s *exactSink) remember() {
	s.known.Lock()
	defer s.known.Unlock()
	for _, e := range s.ending {
		if e.Offset == "" {
			delete(s.committed, e.Partition)
		} else {
			s.committed[e.Partition] = e.Offset
		}
	}
	s.ending = nil
}

// recall finds out from the stored offsets what became of the open transaction (kafkaclient.ProducerOptions.Recall). It runs on
// the producer's steward, while this producer holds the transactional id.
func (s *exactSink) recall(ctx context.Context, ended bool) (bool, error) {
	strange, err := s.load(ctx)
	if err != nil {
		return false, fmt.Errorf("read back the offsets of a transaction: %w", err)
	}
	s.known.Lock()
	defer s.known.Unlock()
	expected := map[offsets.Partition]offsets.Offset{}
	for _, e := range s.ending {
		expected[e.Partition] = e.Offset
	}
	strange = slices.DeleteFunc(strange, func(e offsets.Entry) bool { return !s.own[e.Partition] })
	for _, e := range strange {
		if o, ours := expected[e.Partition]; !ended || !ours || o != e.Offset {
			return false, fmt.Errorf("%w: the offset of %s has been moved to %q by somebody else", kafkaclient.ErrFenced, e.Partition, e.Offset)
		}
	}
	if len(strange) > 0 {
		return true, nil
	}
	for p, o := range expected {
		if s.committed[p] != o {
			return false, nil
		}
	}
	if ended { // the offsets are the same before and after it, as in a snapshot
		return false, kafkaclient.ErrUnknownOutcome
	}
	return false, nil
}

// Flush implements connectors.SinkTask.
func (s *exactSink) Flush(ctx context.Context) error {
	for {
		s.mu.Lock()
		done, err, settled := len(s.pending) == 0 && !s.cutting, s.err, s.settled
		s.hurry = !done && err == nil
		s.mu.Unlock()
		switch {
		case err != nil:
			return fmt.Errorf("flush to Kafka: %w", err)
		case done:
			return nil
		}
		s.signal()
		select {
		case <-settled:
		case <-ctx.Done():
			return fmt.Errorf("flush to Kafka: %w", ctx.Err())
		}
	}
}

// Progress implements connectors.OffsetKeeper.
func (s *exactSink) Progress(ctx context.Context, partitions ...offsets.Partition) ([]connectors.Progress, error) {
	if s.store == nil {
		return nil, errors.New("read offsets from Kafka: the sink is not started")
	}
	if s.settings.Sink != "" {
		return s.ownProgress(ctx, partitions)
	}
	entries, err := s.store.Load(ctx, s.settings.Connector, partitions...)
	if err != nil {
		return nil, err
	}
	var out []connectors.Progress
	for _, e := range entries {
		out = append(out, connectors.Progress{Partition: e.Partition, Offset: e.Offset})
	}
	return out, nil
}

// ownProgress reads the records of this one of several sinks.
func (s *exactSink) ownProgress(ctx context.Context, partitions []offsets.Partition) ([]connectors.Progress, error) {
	entries, err := s.store.Load(ctx, s.settings.Connector)
	if err != nil {
		return nil, err
	}
	stored := map[offsets.Partition]offsets.Offset{}
	for _, e := range entries {
		stored[e.Partition] = e.Offset
	}
	if len(partitions) == 0 {
		if partitions, err = s.plain(entries); err != nil {
			return nil, err
		}
	}
	var out []connectors.Progress
	for _, p := range partitions {
		key, err := connectors.SinkPartition(p, s.settings.Sink)
		if err != nil {
			return nil, connectors.AsPermanent(err)
		}
		if stored[key] == "" {
			continue
		}
		at, err := connectors.ParseSinkEntry(p, stored[key])
		if err != nil {
			return nil, connectors.AsPermanent(err)
		}
		out = append(out, at)
	}
	return out, nil
}

// plain returns the partitions whose own-sink record is among the entries: the record's partition without its "sink".
func (s *exactSink) plain(entries []offsets.Entry) ([]offsets.Partition, error) {
	var out []offsets.Partition
	for _, e := range entries {
		p, err := connectors.PlainPartition(e.Partition, s.settings.Sink)
		if err != nil {
			return nil, connectors.AsPermanent(err)
		}
		if p != "" {
			out = append(out, p)
		}
	}
	return out, nil
}

// SetProgress implements connectors.OffsetKeeper.
func (s *exactSink) SetProgress(ctx context.Context, list []connectors.Progress) error {
	var entries []offsets.Entry
	for _, p := range list {
		e, err := s.entry(p)
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	if err := s.store.Save(ctx, s.settings.Connector, entries); err != nil {
		return err
	}
	_, err := s.load(ctx)
	return err
}

// Stop implements connectors.SinkTask. An open transaction is aborted, so that it holds back no reader until its time-out.
func (s *exactSink) Stop(ctx context.Context) error {
	if s.cancel != nil {
		s.cancel()
		<-s.ended
	}
	s.mu.Lock()
	open := len(s.pending) > 0 || s.err != nil // records of a batch that failed in its middle are in none that is pending
	for _, t := range s.pending {
		s.task.Charge(-t.bytes)
	}
	s.pending, s.records = nil, 0
	s.mu.Unlock()
	if open && s.producer != nil {
		if err := s.producer.Abort(ctx); err != nil && s.log != nil {
			s.log.Debug("an open Kafka transaction was not aborted; the next start of the task or its time-out does that", "error", err)
		}
	}
	if s.producer != nil {
		s.known.Lock()
		s.claim = s.producer.Claim()
		s.known.Unlock()
	}
	// The producer's steward may be in recall until it has ended, or for longer than ctx: the store stays in its place.
	err := s.disconnect(ctx)
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	return err
}
