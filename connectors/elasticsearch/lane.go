package elasticsearch

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// lane writes the documents of some keys, one request after the other, so that the order of each key is kept (I4): what has to be sent
// again is sent before anything else.
type lane struct {
	sink    *sink
	filling *block // guarded by sink.mu
	spare   *block // of the lane's goroutine, but when it is nil
	work    chan struct{}
	busy    bool         // guarded by sink.mu
	indexes []knownIndex // by number, of what is being sent
	looked  time.Time    // when all of them were there

	list    []uint32
	answer  []byte
	zipped  []byte
	zip     *gzip.Writer
	largest int // bytes of a request, less after the server said that one was too large
}

func newLane(s *sink) *lane {
	return &lane{sink: s, filling: &block{}, spare: &block{}, work: make(chan struct{}, 1), largest: s.cfg.bytes}
}

func (l *lane) wake() {
	select {
	case l.work <- struct{}{}:
	default:
	}
}

// run is the goroutine.
func (l *lane) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.work:
		}
		for l.once(ctx) {
		}
	}
}

// once writes what has gathered; false: there is nothing, or the sink is over.
func (l *lane) once(ctx context.Context) bool {
	s := l.sink
	if s.cfg.linger > 0 && !l.lingered(ctx) {
		return false
	}
	s.mu.Lock()
	blk := l.filling
	if len(blk.items) == 0 || s.failed != nil {
		s.mu.Unlock()
		return false
	}
	l.filling, l.busy, l.indexes = l.spare, true, s.indexes
	s.mu.Unlock()
	s.stir()
	err := l.write(ctx, blk)
	if ctx.Err() != nil {
		err = connectors.ErrStopped
	}
	s.mu.Lock()
	l.busy = false
	s.written(blk, err)
	s.mu.Unlock()
	s.task.Charge(-blk.charged)
	blk.reset(s.cfg.bytes)
	l.spare = blk
	s.stir()
	if err != nil && !errors.Is(err, connectors.ErrStopped) {
		s.task.Fail(err)
	}
	return err == nil
}

// lingered waits until the block is full, somebody flushes, or its time is over.
func (l *lane) lingered(ctx context.Context) bool {
	s := l.sink
	timer := time.NewTimer(s.cfg.linger)
	defer timer.Stop()
	for {
		s.mu.Lock()
		n, ready := len(l.filling.items), s.flushing || s.failed != nil || l.filling.live >= s.cfg.items || len(l.filling.data) >= s.cfg.bytes
		s.mu.Unlock()
		if n == 0 || ready {
			return n > 0
		}
		select {
		case <-timer.C:
			return true
		case <-l.work:
		case <-ctx.Done():
			return false
		}
	}
}

// write makes a block durable, however often it takes; an error means that it cannot be.
func (l *lane) write(ctx context.Context, blk *block) error {
	l.list = blk.append(l.list[:0])
	if err := l.present(ctx, blk, l.list); err != nil {
		return err
	}
	for rest := l.list; len(rest) > 0; {
		var head []uint32
		head, rest = blk.cutOff(rest, l.sink.cfg.items, l.largest)
		if err := l.deliver(ctx, blk, slices.Clone(head)); err != nil {
			return err
		}
	}
	return nil
}

// deliver sends one request until each of its actions is done or refused. list is changed.
func (l *lane) deliver(ctx context.Context, blk *block, list []uint32) error {
	broken := 0
	for attempt := 0; len(list) > 0; attempt++ {
		left, err := l.attempt(ctx, blk, list)
		var tooLarge *oversize
		switch {
		case errors.As(err, &tooLarge):
			return l.split(ctx, blk, list, tooLarge)
		case err == nil && len(left) == 0:
			return nil
		case err != nil && connectors.ClassOf(err) != connectors.Retriable:
			return err
		case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET): // perhaps a proxy that cuts off what is too large for it
			if broken++; broken > 2 && len(list) > 1 {
				return l.split(ctx, blk, list, &oversize{err})
			}
		}
		if len(left) < len(list) {
			attempt = 0 // it moves
		}
		list = left
		if err := l.pause(ctx, attempt, err, blk, list); err != nil {
			return err
		}
	}
	return nil
}

// oversize is a request that the server does not take as a whole.
type oversize struct{ error }

func (l *lane) split(ctx context.Context, blk *block, list []uint32, why *oversize) error {
	if len(list) == 1 {
		left, err := l.reject(ctx, blk, list[0], why.error)
		if err == nil && len(left) > 0 {
			return l.deliver(ctx, blk, left)
		}
		return err
	}
	if statusOf(why.error) == http.StatusRequestEntityTooLarge {
		if half := int(blk.length(list) / 2); half < l.largest {
			l.largest = max(half, 64<<10)
			l.sink.log.Warn("a request was too large for the server and is split; set a lower "+keyBulk+", or let the server take more", "error", why, "bytes", 2*half)
		}
	}
	half := len(list) / 2
	if err := l.deliver(ctx, blk, slices.Clone(list[:half])); err != nil {
		return err
	}
	return l.deliver(ctx, blk, list[half:])
}

// attempt sends a request once and returns what must be sent again, with an error that says why.
func (l *lane) attempt(ctx context.Context, blk *block, list []uint32) (left []uint32, err error) {
	s := l.sink
	if err := s.gate.enter(ctx); err != nil {
		return list, err
	}
	pushedBack := false
	defer func() { s.gate.leave(pushedBack) }()
	r := request{method: http.MethodPost, path: bulkPath, kind: "application/x-ndjson", body: &body{block: blk, list: list}, length: blk.length(list)}
	if s.cfg.gzip {
		if err := l.compress(&r); err != nil {
			return list, connectors.AsPermanent(fmt.Errorf("compress a request: %w", err))
		}
	}
	status, answer, err := s.client.send(ctx, r, l.answer)
	l.answer = answer
	switch {
	case err != nil:
		pushedBack = !errors.Is(err, context.Canceled)
		return list, fmt.Errorf("write to Elasticsearch: %w", err)
	case status == http.StatusRequestEntityTooLarge, status == http.StatusBadRequest:
		return list, &oversize{fmt.Errorf("write to Elasticsearch: %w", refused(status, answer, s.cfg.user))}
	case status != http.StatusOK:
		pushedBack = transient(status, "")
		return list, fmt.Errorf("write to Elasticsearch: %w", refused(status, answer, s.cfg.user))
	}
	results, err := outcome(answer, len(list), func(i int) itemOp { return blk.items[list[i]].op })
	if err != nil || results == nil {
		if err != nil {
			return list, err
		}
		return nil, nil
	}
	left, pushedBack, err = l.settle(ctx, blk, list, results)
	return left, err
}

// settle goes through the results of a request.
func (l *lane) settle(ctx context.Context, blk *block, list []uint32, results []result) (left []uint32, pushedBack bool, err error) {
	for i := range results {
		r, at := &results[i], list[i]
		switch r.verdict {
		case verdictRepeat:
			left = append(left, at)
			if err == nil {
				err = &refusal{status: r.status, kind: r.cause.Type, reason: r.cause.text()}
			}
			pushedBack = pushedBack || r.status != http.StatusConflict
		case verdictFail:
			return list, false, connectors.AsPermanent(fmt.Errorf("write to index %s: %w", l.indexes[blk.items[at].index].name, l.failure(r)))
		case verdictOlder:
			if err := l.older(blk, at, r); err != nil {
				return list, false, err
			}
		case verdictReject:
			again, err := l.reject(ctx, blk, at, &refusal{status: r.status, kind: r.cause.Type, reason: r.cause.text()})
			if err != nil {
				return list, false, err
			}
			left = append(left, again...)
		}
	}
	return left, pushedBack, err
}

func (l *lane) failure(r *result) error {
	out := &refusal{status: r.status, kind: r.cause.Type, reason: r.cause.text()}
	switch r.status {
	case http.StatusNotFound:
		out.advice = deleted
	default:
		out.advice = "give user " + l.sink.cfg.user + " the privileges index, create and delete on it"
	}
	return out
}

// older is a document whose version is newer than that of a change: it has the change already. A version of a later history of the
// source is another matter: the change would be lost.
func (l *lane) older(blk *block, at uint32, r *result) error {
	it := &blk.items[at]
	stored, ok := storedEpoch(r.cause.Reason)
	if l.sink.cfg.mode == modeReference || !ok || stored <= it.version>>versionBits {
		return nil
	}
	return connectors.AsPermanent(fmt.Errorf("write to index %s: documents there come from a later history of the source (number %d) than this change (number %d): the index belongs to another source, or this server was left behind by a failover. Write to another index (%s), or delete the index and reset the connector's offsets",
		l.indexes[it.index].name, stored, it.version>>versionBits, keyFormat))
}

// reject hands out a record that the server refuses. What it superseded in this block is then the newest that can be written, and is
// returned.
func (l *lane) reject(ctx context.Context, blk *block, at uint32, cause error) ([]uint32, error) {
	s, it := l.sink, &blk.items[at]
	h := blk.held[it.held]
	where := l.indexes[it.index].name
	if t := h.batch.Streams[h.batch.Records[it.record].Stream].Table; t != nil && s.cfg.mode != modeReference {
		about := "table " + t.ID()
		if column := refusedColumn(cause.Error(), t); column != "" {
			about += ", column " + column
		}
		where += " (" + about + ")"
	}
	cause = fmt.Errorf("write to index %s: %w", where, cause)
	switch s.cfg.refused {
	case "ignore":
	case "warn":
		s.log.Warn("a document was refused and is left out ("+keyMalformed+"=WARN)", "error", cause)
	default:
		if err := s.task.Reject(ctx, h.batch.Origin(), int(it.record), connectors.AsPermanent(cause)); err != nil {
			return nil, err
		}
	}
	if it.before < 0 {
		return nil, nil
	}
	return []uint32{uint32(it.before)}, nil
}

const longestPause = 10 * time.Second

// pause waits before the next attempt.
func (l *lane) pause(ctx context.Context, attempt int, why error, blk *block, list []uint32) error {
	s := l.sink
	if errors.Is(why, context.Canceled) || ctx.Err() != nil {
		return connectors.ErrStopped
	}
	wait := min(s.cfg.pause<<min(attempt, 16), longestPause)
	if attempt == 0 && statusOf(why) == 0 && len(s.client.nodes) > 1 {
		wait = time.Millisecond // another node
	}
	wait = time.Duration(rand.Int64N(int64(wait)) + 1)
	if attempt > 0 && why != nil {
		s.task.Retrying(fmt.Errorf("write to index %s: %w%s", l.indexes[blk.items[list[0]].index].name, why, advice(why)))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return connectors.ErrStopped
	}
}

// advice says what an operator can do about a state that does not pass by itself.
func advice(err error) string {
	var r *refusal
	if errors.As(err, &r) && r.kind == blockException {
		return ": the index is read-only. When the disk is too full (flood stage), free or add disk, and the server lifts the block; else remove index.blocks.read_only_allow_delete and index.blocks.write from its settings. Nothing is lost meanwhile"
	}
	return ""
}

// compress replaces a request's body by a compressed one.
func (l *lane) compress(r *request) error {
	if l.zip == nil {
		l.zip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed)
	}
	out := sliceWriter{l.zipped[:0]}
	l.zip.Reset(&out)
	if _, err := io.Copy(l.zip, r.body); err != nil {
		return err
	}
	if err := l.zip.Close(); err != nil {
		return err
	}
	l.zipped = out.data
	r.body, r.length, r.encoding = bytes.NewReader(out.data), int64(len(out.data)), "gzip"
	return nil
}

type sliceWriter struct{ data []byte }

// Write implements io.Writer.
func (w *sliceWriter) Write(p []byte) (int, error) {
	w.data = append(w.data, p...)
	return len(p), nil
}
