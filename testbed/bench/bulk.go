//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	elastic "github.com/elastic/go-elasticsearch/v9"
	"github.com/elastic/go-elasticsearch/v9/esutil"
)

// documents are ready-made ones. Without pointers: what holds them costs no garbage collection.
type documents struct {
	text []byte
	ends []int
}

func (d *documents) number(i int) []byte {
	from := 0
	if i > 0 {
		from = d.ends[i-1]
	}
	return d.text[from:d.ends[i]]
}

// read pages through an index by id.
func (d *documents) read(ctx context.Context, b *bench, index string) error {
	for after := 0; ; {
		var answer struct {
			Hits struct {
				Hits []struct {
					Source json.RawMessage `json:"_source"`
				}
			}
		}
		body := fmt.Sprintf(`{"size":10000,"sort":["id"],"search_after":[%d],"track_total_hits":false}`, after)
		if _, err := b.elastic(ctx, http.MethodPost, "/"+index+"/_search?filter_path=hits.hits._source", body, &answer); err != nil {
			return err
		}
		for _, h := range answer.Hits.Hits {
			d.text = append(d.text, h.Source...)
			d.ends = append(d.ends, len(d.text))
		}
		if len(answer.Hits.Hits) == 0 {
			return nil
		}
		after += len(answer.Hits.Hits) // ids are 1, 2, …
	}
}

const (
	bulkWorkers = 5   // as many requests at a time as the sink has by default
	bulkAction  = 110 // bytes of an action's line, about
)

// bulkIndexerRun writes the documents of the run before, and their versions, with go-elasticsearch's BulkIndexer into an index like its index, in
// requests of as many documents as the run's had. They are ready as JSON.
func (b *bench) bulkIndexerRun(ctx context.Context) (sample, error) {
	var docs documents
	if err := docs.read(ctx, b, b.index); err != nil {
		return sample{}, err
	}
	if len(docs.ends) != b.rows {
		return sample{}, fmt.Errorf("index %s showed %d documents, not %d", b.index, len(docs.ends), b.rows)
	}
	w, err := b.written(ctx, b.index)
	if err != nil {
		return sample{}, err
	}
	index, err := b.indexLike(ctx, b.index)
	if err != nil {
		return sample{}, err
	}
	perRequest := max(1, b.rows/max(1, w.Requests))
	b.say("  requests of %s documents", thousands(float64(perRequest)))
	client, err := elastic.NewClient(elastic.Config{Addresses: []string{b.es.URL()}})
	if err != nil {
		return sample{}, fmt.Errorf("make the client: %w", err)
	}
	s, err := b.within(b.rows, func() error {
		indexer, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{
			Client: client, NumWorkers: bulkWorkers, FlushBytes: perRequest * (len(docs.text)/b.rows + bulkAction),
		})
		if err != nil {
			return fmt.Errorf("make the BulkIndexer: %w", err)
		}
		for i := range b.rows {
			version := int64(i + 1)
			if err := indexer.Add(ctx, esutil.BulkIndexerItem{
				Action: "index", Index: index, DocumentID: fmt.Sprint(i + 1), Body: bytes.NewReader(docs.number(i)), Version: &version, VersionType: "external_gte",
			}); err != nil {
				return fmt.Errorf("add a document: %w", err)
			}
		}
		if err := indexer.Close(ctx); err != nil {
			return fmt.Errorf("close the BulkIndexer: %w", err)
		}
		if stats := indexer.Stats(); stats.NumFlushed != uint64(b.rows) || stats.NumFailed != 0 {
			return fmt.Errorf("the BulkIndexer wrote %d of %d documents, %d failed", stats.NumFlushed, b.rows, stats.NumFailed)
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	if w, err = b.written(ctx, index); err != nil {
		return s, err
	}
	b.say("  the BulkIndexer's had %s", thousands(float64(b.rows/max(1, w.Requests))))
	return s, b.expectDocuments(ctx, index, b.rows)
}

// indexLike makes an empty index with the mapping of another one, which it removes.
func (b *bench) indexLike(ctx context.Context, other string) (string, error) {
	var answer map[string]struct{ Mappings json.RawMessage }
	if _, err := b.elastic(ctx, http.MethodGet, "/"+other+"/_mapping", "", &answer); err != nil {
		return "", err
	}
	name := b.name("bulk")
	if _, err := b.elastic(ctx, http.MethodDelete, "/"+other, "", nil); err != nil {
		return "", err
	}
	_, err := b.elastic(ctx, http.MethodPut, "/"+name, `{"mappings":`+string(answer[other].Mappings)+`}`, nil)
	return name, err
}
