//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// elasticConfig lets a source write documents.
func (b *bench) elasticConfig() map[string]string {
	return map[string]string{"sinks": "es", "sinks.es.connector.class": "elasticsearch", "sinks.es.connection.url": b.es.URL()}
}

// elastic sends a request and reads what it answers; false: there is no such index or document, or the index has only been made.
func (s *servers) elastic(ctx context.Context, method, path, body string, into any) (bool, error) {
	status, answer, err := s.es.Ask(ctx, method, path, body)
	switch {
	case err != nil:
		return false, err
	case status == http.StatusNotFound, status == http.StatusServiceUnavailable && strings.Contains(answer, "no_shard_available_action_exception"):
		return false, nil
	case status/100 != 2:
		return false, fmt.Errorf("%s %s: %d %.500s", method, path, status, answer)
	case into == nil:
		return true, nil
	}
	if err := json.Unmarshal([]byte(answer), into); err != nil {
		return false, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return true, nil
}

func (s *servers) elasticVersion(ctx context.Context) string {
	var about struct{ Version struct{ Number string } }
	_, _ = s.elastic(ctx, http.MethodGet, "/", "", &about) // the description goes without it
	return about.Version.Number
}

// clearElastic removes what earlier runs wrote.
func (b *bench) clearElastic(ctx context.Context) error {
	var list []struct{ Index string }
	if _, err := b.elastic(ctx, http.MethodGet, "/_cat/indices/bench_*?format=json&h=index", "", &list); err != nil {
		return err
	}
	for _, one := range list {
		if _, err := b.elastic(ctx, http.MethodDelete, "/"+one.Index, "", nil); err != nil {
			return err
		}
	}
	return nil
}

// written is what an index says of itself, without a refresh.
type written struct {
	Documents int // that were written, however often
	Requests  int // bulk requests
}

func (b *bench) written(ctx context.Context, index string) (written, error) {
	var answer struct {
		All struct {
			Primaries struct {
				Indexing struct {
					Total int `json:"index_total"`
				}
				Bulk struct {
					Total int `json:"total_operations"`
				}
			}
		} `json:"_all"`
	}
	_, err := b.elastic(ctx, http.MethodGet, "/"+index+"/_stats/indexing,bulk?filter_path=_all.primaries", "", &answer)
	return written{answer.All.Primaries.Indexing.Total, answer.All.Primaries.Bulk.Total}, err
}

// elasticEvery is how often an index is asked how many documents it has: a run takes many seconds.
const elasticEvery = 50 * time.Millisecond

// inElastic asks whether an index, which may not be there yet, was sent so many documents.
func (b *bench) inElastic(index string, documents int) question {
	var next time.Time
	return func(ctx context.Context) (bool, error) {
		if time.Now().Before(next) {
			return false, nil
		}
		next = time.Now().Add(elasticEvery)
		w, err := b.written(ctx, index)
		return w.Documents >= documents, err
	}
}

// intoElastic is a run until all documents are durable. The index stays.
func (b *bench) intoElastic(ctx context.Context, f feed) (sample, error) {
	if err := b.clearElastic(ctx); err != nil {
		return sample{}, err
	}
	name := b.name("elastic")
	b.index = name + ".bench.rows"
	s, err := b.into(ctx, f, name, b.elasticConfig(), b.inElastic(b.index, f.rows))
	if err != nil {
		return s, err
	}
	return s, b.expectDocuments(ctx, b.index, f.rows)
}

func (b *bench) expectDocuments(ctx context.Context, index string, documents int) error {
	var answer struct{ Count int }
	if _, err := b.elastic(ctx, http.MethodPost, "/"+index+"/_refresh", "", nil); err != nil {
		return err
	}
	_, err := b.elastic(ctx, http.MethodGet, "/"+index+"/_count", "", &answer)
	if err == nil && answer.Count != documents {
		err = fmt.Errorf("index %s has %d documents, not %d", index, answer.Count, documents)
	}
	return err
}

// freshElastic starts the freshet program into Elasticsearch.
func (b *bench) freshElastic(ctx context.Context, r func(index string) reader) (*fresh, error) {
	if err := b.clearElastic(ctx); err != nil {
		return nil, err
	}
	name := b.name("fresh")
	source, err := b.source.stream(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	p, err := b.startWorker(ctx, worker{source: source.with(b.elasticConfig())})
	if err != nil {
		return nil, err
	}
	return &fresh{process: p.ended, pid: p.pid(), reader: r(name + ".bench.rows"), close: func() error {
		p.stop()
		return b.source.release(context.WithoutCancel(ctx), name)
	}}, nil
}

// freshDocuments looks for documents by id, which needs no refresh: always for the next one of each writer, as each costs the server a request.
func (b *bench) freshDocuments(ctx context.Context) (*fresh, error) {
	r := &documentReader{b: b}
	for writer := range pacedWriters {
		r.next = append(r.next, (writer+1)*idsOfWriter)
	}
	f, err := b.freshElastic(ctx, func(index string) reader {
		r.index = index
		return r
	})
	if err == nil {
		f.committed = func(writer, n int) { r.committed[writer].Add(int64(n)) }
	}
	return f, err
}

// documentReader asks for one document of each writer.
type documentReader struct {
	b         *bench
	index     string
	next      []int // id per writer
	committed [pacedWriters]atomic.Int64
	found     []arrival
	counted   int
	due       time.Time // when documents are counted again
}

func (r *documentReader) arrivals() []arrival { return r.found }

func (r *documentReader) rows() int { return r.counted }

func (r *documentReader) read(ctx context.Context) error {
	var ids []string
	for _, id := range r.next {
		ids = append(ids, strconv.Itoa(id))
	}
	var answer struct {
		Docs []struct {
			Found  bool
			Source struct{ Sent time.Time } `json:"_source"`
		}
	}
	_, err := r.b.elastic(ctx, http.MethodPost, "/"+r.index+"/_mget?_source_includes=sent&filter_path=docs.found,docs._source", `{"ids":["`+strings.Join(ids, `","`)+`"]}`, &answer)
	if err != nil {
		return err
	}
	now := time.Now()
	for writer, d := range answer.Docs {
		if d.Found {
			r.found = append(r.found, arrival{committed: d.Source.Sent, seen: now})
			r.next[writer] = max(r.next[writer]+1, (writer+1)*idsOfWriter+int(r.committed[writer].Load()))
		}
	}
	if now.After(r.due) {
		w, err := r.b.written(ctx, r.index)
		if err != nil {
			return err
		}
		r.counted, r.due = w.Documents, now.Add(4*elasticEvery)
	}
	return pause(ctx, tick)
}

// freshSearch looks for all documents by searching, which sees what the server has refreshed: by default it does so once a second.
func (b *bench) freshSearch(ctx context.Context) (*fresh, error) {
	return b.freshElastic(ctx, func(index string) reader {
		return &searchReader{b: b, index: index, through: -1, above: map[int64]bool{}}
	})
}

// searchReader searches for documents by the numbers that the server gives to writes. They become visible in any order.
type searchReader struct {
	b       *bench
	index   string
	through int64          // all up to this number were found
	above   map[int64]bool // found above it
	found   []arrival
}

func (r *searchReader) arrivals() []arrival { return r.found }

func (r *searchReader) rows() int { return len(r.found) }

const (
	searchPage  = 5000
	searchPause = 5 * time.Millisecond
)

func (r *searchReader) read(ctx context.Context) error {
	for after := r.through; ; {
		// sent in ms is exact enough, and read without the documents.
		body := fmt.Sprintf(`{"size":%d,"query":{"range":{"_seq_no":{"gt":%d}}},"sort":["_seq_no"],"track_total_hits":false,"_source":false,"docvalue_fields":[{"field":"sent","format":"epoch_millis"}]}`, searchPage, after)
		var answer struct {
			Hits struct {
				Hits []struct {
					Sort   []int64
					Fields struct{ Sent []string }
				}
			}
		}
		if _, err := r.b.elastic(ctx, http.MethodPost, "/"+r.index+"/_search?filter_path=hits.hits.sort,hits.hits.fields", body, &answer); err != nil {
			return err
		}
		now := time.Now()
		for _, h := range answer.Hits.Hits {
			if len(h.Sort) != 1 || len(h.Fields.Sent) != 1 {
				return errors.New("read a document: it lacks its number or the time of its commit")
			}
			after = h.Sort[0]
			if r.above[after] {
				continue
			}
			r.above[after] = true
			ms, err := strconv.ParseInt(h.Fields.Sent[0], 10, 64)
			if err != nil {
				return fmt.Errorf("read the time of commit: %w", err)
			}
			r.found = append(r.found, arrival{committed: time.UnixMilli(ms), seen: now})
		}
		for r.above[r.through+1] {
			r.through++
			delete(r.above, r.through)
		}
		if len(answer.Hits.Hits) < searchPage {
			return pause(ctx, searchPause)
		}
	}
}
