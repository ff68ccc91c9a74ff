// Package kafkastore keeps offsets in a compacted Kafka topic, in the records of Kafka Connect's offset.storage.topic.
package kafkastore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
)

// Options say where the records are.
type Options struct {
	Session     *kafkaclient.Session // of Config; the store does not close it
	Config      *kafkaclient.Config
	Topic       string            // created, compacted, when it is missing
	Partitions  int32             // of a new topic; -1: the broker's default (Connect: offset.storage.partitions=25)
	Replication int16             // of a new topic; -1: the broker's default
	Settings    map[string]string // further settings of a new topic
	Logger      *slog.Logger
	// Later leaves reading to the first Load or Save. A transaction that a killed worker left open holds every reader up
	// until it is fenced or times out, so whoever starts the tasks that fence must not read before.
	Later bool
}

// Store is an offsets.Store over a compacted topic. Safe for concurrent use; it starts no goroutine of its own.
type Store struct {
	log    *kafkaclient.Log
	logger *slog.Logger

	begun atomic.Uint64 // readings of the topic, by number from 1

	mu      sync.Mutex
	done    uint64 // number of the newest reading that succeeded; 0: the topic was not read
	entries map[id]*entry
}

type id struct {
	connector string
	partition offsets.Partition
}

// entry is one offset and the exact keys under which it lies in the topic; another runtime may have written the members of
// the partition in another order.
type entry struct {
	offset offsets.Offset
	keys   [][]byte // the one read or written last is the last
}

// Open makes the topic if it is missing and reads it (but for Later).
func Open(ctx context.Context, o Options) (*Store, error) {
	l, err := kafkaclient.OpenLog(ctx, o.Session, o.Config, kafkaclient.LogOptions{
		Topic: o.Topic, Partitions: o.Partitions, Replication: o.Replication, Settings: o.Settings,
	})
	if err != nil {
		return nil, fmt.Errorf("open offset topic: %w", err)
	}
	s := &Store{log: l, logger: o.Logger, entries: map[id]*entry{}}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if o.Later {
		return s, nil
	}
	if err := s.refresh(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return s, nil
}

// refresh reads what was written since, by whomever; s.mu is held or the store is not yet shared.
func (s *Store) refresh(ctx context.Context) error {
	number := s.begun.Add(1)
	err := s.log.ReadNew(ctx, func(partition int32, m kafkaclient.Message) error {
		if err := s.take(m); err != nil {
			s.logger.Warn("an offset record that is none is passed over: whoever goes on from the one before it, or from none, repeats changes",
				"topic", s.log.Topic(), "partition", partition, "offset", m.Offset, "error", err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read offsets: %w", err)
	}
	s.done = number
	return nil
}

func (s *Store) take(m kafkaclient.Message) error {
	connector, partition, err := offsets.DecodeKey(m.Key)
	if err != nil {
		return err
	}
	k := id{connector, partition}
	if m.Value == nil {
		s.forget(k, m.Key)
		return nil
	}
	o, err := offsets.ParseOffset(m.Value)
	if err != nil {
		return fmt.Errorf("key %.200q: %w", m.Key, err)
	}
	s.remember(k, m.Key, o)
	return nil
}

func (s *Store) remember(k id, key []byte, o offsets.Offset) {
	e := s.entries[k]
	if e == nil {
		e = &entry{}
		s.entries[k] = e
	}
	e.offset = o
	e.drop(key)
	e.keys = append(e.keys, bytes.Clone(key))
}

func (s *Store) forget(k id, key []byte) {
	e := s.entries[k]
	if e == nil {
		return
	}
	if e.drop(key); len(e.keys) == 0 {
		delete(s.entries, k)
	}
}

func (e *entry) drop(key []byte) {
	for i, have := range e.keys {
		if bytes.Equal(have, key) {
			e.keys = append(e.keys[:i], e.keys[i+1:]...)
			return
		}
	}
}

// Load implements offsets.Store. It reads the topic to its end first, for another worker may have written. Those who wait for each
// other share a reading that began after all of them had asked.
func (s *Store) Load(ctx context.Context, connector string, partitions ...offsets.Partition) ([]offsets.Entry, error) {
	before := s.begun.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done <= before {
		if err := s.refresh(ctx); err != nil {
			return nil, err
		}
	}
	var out []offsets.Entry
	if len(partitions) == 0 {
		for k, e := range s.entries {
			if k.connector == connector {
				out = append(out, offsets.Entry{Partition: k.partition, Offset: e.offset})
			}
		}
		sort.Slice(out, func(i, j int) bool { return out[i].Partition < out[j].Partition })
		return out, nil
	}
	for _, p := range partitions {
		if e := s.entries[id{connector, p}]; e != nil {
			out = append(out, offsets.Entry{Partition: p, Offset: e.offset})
		}
	}
	return out, nil
}

// Save implements offsets.Store.
func (s *Store) Save(ctx context.Context, connector string, entries []offsets.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == 0 {
		if err := s.refresh(ctx); err != nil {
			return err
		}
	}
	entries, err := s.known(ctx, connector, entries)
	if err != nil {
		return err
	}
	ms, err := s.records(connector, entries)
	if err != nil || len(ms) == 0 {
		return err
	}
	if err := s.log.AppendAll(ctx, ms); err != nil {
		return fmt.Errorf("save offsets of connector %s: %w", connector, err)
	}
	for _, m := range ms {
		if err := s.take(m); err != nil {
			return fmt.Errorf("save offsets of connector %s: %w", connector, err)
		}
	}
	return nil
}

// known leaves out deletions of what the topic does not have; s.mu is held.
func (s *Store) known(ctx context.Context, connector string, entries []offsets.Entry) ([]offsets.Entry, error) {
	missing := func(e offsets.Entry) bool { return e.Offset == "" && s.entries[id{connector, e.Partition}] == nil }
	if !slices.ContainsFunc(entries, missing) {
		return entries, nil
	}
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(entries), missing), nil
}

// Records returns the records that Save would write, for a sink that writes them in its own transaction. The store knows of
// them when Load has read them back.
func (s *Store) Records(connector string, entries []offsets.Entry) ([]kafkaclient.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == 0 {
		return nil, errors.New("make offset records: the stored ones were not read; call Load first")
	}
	return s.records(connector, entries)
}

func (s *Store) records(connector string, entries []offsets.Entry) ([]kafkaclient.Message, error) {
	var ms []kafkaclient.Message
	for _, e := range entries {
		keys, err := s.keys(connector, e.Partition)
		if err != nil {
			return nil, err
		}
		last := len(keys) - 1
		if e.Offset != "" {
			ms = append(ms, kafkaclient.Message{Key: keys[last], Value: []byte(e.Offset)})
			keys = keys[:last]
		}
		// Other spellings of the same partition would contradict the new offset after a restart.
		for _, key := range keys {
			ms = append(ms, kafkaclient.Message{Key: key})
		}
	}
	return ms, nil
}

// keys returns the keys under which the partition lies in the topic, else the one that it gets.
func (s *Store) keys(connector string, p offsets.Partition) ([][]byte, error) {
	if e := s.entries[id{connector, p}]; e != nil {
		return append([][]byte(nil), e.keys...), nil
	}
	key, err := offsets.EncodeKey(connector, p)
	if err != nil {
		return nil, err
	}
	return [][]byte{key}, nil
}

// Close implements offsets.Store.
func (s *Store) Close() error {
	s.log.Close()
	return nil
}
