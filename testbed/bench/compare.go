//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/freshet-io/freshet/offsets"
)

// A Connect-compatible worker beside Freshet: the same settings, counted at the same topics.

// The names of what is measured.
const (
	workerDefault = "Connect worker → Kafka JSON"
	workerTuned   = "Connect worker → Kafka JSON, tuned"
)

// tuned are the settings with which such a worker is fast (docs/performance.md).
func tuned() map[string]string {
	return map[string]string{
		"max.batch.size": "16384", "max.queue.size": "65536", "poll.interval.ms": "10", "producer.override.compression.type": "lz4",
		"producer.override.linger.ms": "10", "producer.override.batch.size": "1048576",
	}
}

// call makes one request to the worker's REST API. Codes from 400 on are errors.
func (b *bench) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode a request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, b.compareURL+path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the Connect worker: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the Connect worker: %w", err)
	}
	if resp.StatusCode >= 400 {
		return answer, fmt.Errorf("ask the Connect worker: %s %s: %s: %.500s", method, path, resp.Status, answer)
	}
	return answer, nil
}

// remote is a connector in the Connect worker.
type remote struct {
	bench *bench
	name  string
}

// createRemote starts a connector, at its offset when it has one.
func (b *bench) createRemote(ctx context.Context, source reading) (*remote, error) {
	r := &remote{b, source.name}
	if source.offset == (offsets.Entry{}) {
		_, err := b.call(ctx, http.MethodPut, "/connectors/"+source.name+"/config", source.config)
		return r, err
	}
	_, err := b.call(ctx, http.MethodPost, "/connectors", map[string]any{"name": source.name, "config": source.config, "initial_state": "STOPPED"})
	if err != nil {
		return r, err
	}
	entry := map[string]any{"partition": json.RawMessage(source.offset.Partition), "offset": json.RawMessage(source.offset.Offset)}
	if err := r.whenStopped(ctx, http.MethodPatch, map[string]any{"offsets": []any{entry}}); err != nil {
		return r, errors.Join(err, r.remove(ctx))
	}
	_, err = b.call(ctx, http.MethodPut, "/connectors/"+source.name+"/resume", nil)
	return r, err
}

// whenStopped changes the offsets of a connector that is being stopped; until its tasks have ended the worker refuses.
func (r *remote) whenStopped(ctx context.Context, method string, body any) error {
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, err := r.bench.call(limit, method, "/connectors/"+r.name+"/offsets", body)
		if err == nil || pause(limit, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// failed is an error when the connector or its task has failed.
func (r *remote) failed(ctx context.Context) error {
	answer, err := r.bench.call(ctx, http.MethodGet, "/connectors/"+r.name+"/status", nil)
	if err != nil {
		return nil // not there yet
	}
	if bytes.Contains(answer, []byte(`"FAILED"`)) {
		return fmt.Errorf("the connector has failed: %.2000s", answer)
	}
	return nil
}

// alive is until's check, once a second.
func (r *remote) alive(ctx context.Context) func() error {
	checked := time.Now()
	return func() error {
		if time.Since(checked) < time.Second {
			return nil
		}
		checked = time.Now()
		return r.failed(ctx)
	}
}

// remove deletes the connector and its offsets.
func (r *remote) remove(ctx context.Context) error {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	path := "/connectors/" + r.name
	_, stopped := r.bench.call(limit, http.MethodPut, path+"/stop", nil)
	var reset error
	if stopped == nil {
		reset = r.whenStopped(limit, http.MethodDelete, nil)
	}
	_, deleted := r.bench.call(limit, http.MethodDelete, path, nil)
	return errors.Join(stopped, reset, deleted)
}

// remoteToKafka measures one connector of the Connect worker.
func (b *bench) remoteToKafka(ctx context.Context, source reading, rows int, begun, finished question) (s sample, err error) {
	r, err := b.createRemote(ctx, source)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, r.remove(ctx)) }()
	if s, err = b.timed(ctx, rows, b.comparePID, r.alive(ctx), begun, finished); err != nil {
		return s, err
	}
	s.peak, _, err = memory(b.comparePID) // the highest may be from before
	return s, err
}

func (b *bench) drainRemote(ctx context.Context, r logRange, more map[string]string) (sample, error) {
	name := b.name("connect")
	source, err := b.source.stream(ctx, name, &r)
	if err != nil {
		return sample{}, err
	}
	defer b.release(ctx, name)
	s, err := b.remoteToKafka(ctx, source.with(jsonConverters(false), more), r.rows, b.source.sends(name), b.arrived(name, r.rows))
	if err != nil {
		return s, err
	}
	return s, b.checkTopic(ctx, name, r.rows)
}

func (b *bench) snapshotRemote(ctx context.Context, more map[string]string) (sample, error) {
	name := b.name("connect")
	defer b.release(ctx, name)
	topic := name + ".bench.rows"
	s, err := b.remoteToKafka(ctx, b.source.snapshot(name).with(jsonConverters(false), more), b.rows, b.holds(topic, 1), b.holds(topic, b.rows))
	if err != nil {
		return s, err
	}
	return s, b.checkTopic(ctx, name, b.rows)
}

// drainsRemote and snapshotsRemote are variants of the Connect worker; none without -compare.
func (b *bench) drainsRemote(r logRange) []variant {
	if b.compareURL == "" {
		return nil
	}
	return []variant{
		{workerDefault, func(ctx context.Context) (sample, error) { return b.drainRemote(ctx, r, nil) }},
		{workerTuned, func(ctx context.Context) (sample, error) { return b.drainRemote(ctx, r, tuned()) }},
	}
}

func (b *bench) snapshotsRemote() []variant {
	if b.compareURL == "" {
		return nil
	}
	return []variant{
		{workerDefault, func(ctx context.Context) (sample, error) { return b.snapshotRemote(ctx, nil) }},
		{workerTuned, func(ctx context.Context) (sample, error) { return b.snapshotRemote(ctx, tuned()) }},
	}
}

// freshRemote is a connector of the Connect worker under a paced load.
func (b *bench) freshRemote(ctx context.Context, more map[string]string) (*fresh, error) {
	name := b.name("connect")
	source, err := b.source.stream(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	consumer, err := b.freshTopic(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := b.createRemote(ctx, source.with(jsonConverters(false), more))
	if err != nil {
		consumer.client.Close()
		return nil, err
	}
	return &fresh{process: func() error { return nil }, pid: b.comparePID, reader: consumer, close: func() error {
		consumer.client.Close()
		removed := r.remove(ctx)
		clean := context.WithoutCancel(ctx)
		return errors.Join(removed, b.source.release(clean, name), b.deleteTopics(clean, name))
	}}, nil
}

// addComparison puts throughput per core beside the Connect worker's.
func (r *report) addComparison(title string, all []series) {
	ours, theirs, best := find(all, toKafka), find(all, workerDefault), find(all, workerTuned)
	lz4 := find(all, toKafkaLZ4)
	if ours == nil || theirs == nil || best == nil {
		return
	}
	t := table{title: title, header: []string{"what", "rows/s", "rows/s per core of the worker", "budget", ""}}
	add := func(name string, a, b *series) {
		cpu := func(one sample) float64 { return one.perRow(one.worker) }
		perCore := b.medianOf(cpu) / a.medianOf(cpu)
		budget, met := verdict([]check{{"≥ 5 × per core", perCore, 5, true}})
		t.rows = append(t.rows, []string{name, fmt.Sprintf("%.1f ×", a.ratio(*b)), fmt.Sprintf("%.1f ×", perCore), budget, met})
	}
	add("default settings of both", ours, theirs)
	if lz4 != nil {
		add("lz4 in both, the Connect worker tuned", lz4, best)
	}
	r.tables = append(r.tables, t)
}
