package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

const scrollSize = 5000

// page is a part of a scrolled search.
type page struct {
	Scroll string `json:"_scroll_id"`
	Shards struct {
		Failed int `json:"failed"`
	} `json:"_shards"`
	Hits struct {
		Hits []struct {
			ID      string `json:"_id"`
			Routing string `json:"_routing"`
		} `json:"hits"`
	} `json:"hits"`
}

// truncate deletes the documents that are older than a TRUNCATE, each with the truncate's version: when it is replayed, newer documents
// stay. Called with mu held, which it gives up meanwhile.
func (s *sink) truncate(ctx context.Context, h *held, p *plan, r *connectors.Record) error {
	if !s.cfg.truncates {
		return nil
	}
	version, err := versionOf(r.Order)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	for _, l := range s.lanes {
		l.wake()
	}
	if err := s.wait(ctx, s.idle); err != nil {
		return err
	}
	err = s.retry(ctx, func(ctx context.Context) error { return s.wipe(ctx, p.index, version) })
	if err != nil {
		return fmt.Errorf("truncate index %s for table %s: %w", p.index, p.id, err)
	}
	return nil
}

// idle tells that nothing is being written and nothing waits. Called with mu held.
func (s *sink) idle() bool {
	s.flushing = true
	for _, l := range s.lanes {
		if l.busy || len(l.filling.items) > 0 {
			return false
		}
	}
	s.flushing = false
	return true
}

// wipe deletes every document of an index that is not newer than version.
func (s *sink) wipe(ctx context.Context, index string, version uint64) error {
	at := "/" + url.PathEscape(index)
	if err := s.client.call(ctx, http.MethodPost, at+"/_refresh", nil, nil); err != nil {
		return err
	}
	var p page
	search := []byte(fmt.Sprintf(`{"size":%d,"_source":false,"sort":["_doc"]}`, scrollSize))
	err := s.client.call(ctx, http.MethodPost, at+"/_search?scroll=5m", search, &p)
	for err == nil && len(p.Hits.Hits) > 0 {
		if p.Shards.Failed > 0 {
			err = errors.New("some shards cannot be searched now")
			break
		}
		if err = s.wipePage(ctx, index, version, &p); err != nil {
			break
		}
		scroll := p.Scroll
		p = page{}
		err = s.client.call(ctx, http.MethodPost, "/_search/scroll", map[string]string{"scroll": "5m", "scroll_id": scroll}, &p)
	}
	if p.Scroll != "" {
		_ = s.client.call(ctx, http.MethodDelete, "/_search/scroll", map[string]string{"scroll_id": p.Scroll}, nil) // it would end by itself
	}
	return err
}

func (s *sink) wipePage(ctx context.Context, index string, version uint64, p *page) error {
	blk := &block{}
	for i := range p.Hits.Hits {
		hit := &p.Hits.Hits[i]
		start := uint32(len(blk.data))
		dst := append(changes.AppendJSONText(append(blk.data, `{"delete":{"_index":`...), index), `,"_id":`...)
		dst = changes.AppendJSONText(dst, hit.ID)
		if hit.Routing != "" {
			dst = changes.AppendJSONText(append(dst, `,"routing":`...), hit.Routing)
		}
		dst = append(changes.AppendInt(append(dst, versioned...), int64(version)), "}}\n"...)
		blk.data = dst
		blk.add(item{start: start, end: uint32(len(dst)), op: opDelete, version: version}, false, false)
	}
	list := blk.append(nil)
	for len(list) > 0 {
		var head []uint32
		head, list = blk.cutOff(list, s.cfg.items, s.cfg.bytes)
		r := request{method: http.MethodPost, path: bulkPath, kind: "application/x-ndjson", body: &body{block: blk, list: head}, length: blk.length(head)}
		status, answer, err := s.client.send(ctx, r, nil)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return refused(status, answer, s.cfg.user)
		}
		results, err := outcome(answer, len(head), func(int) itemOp { return opDelete })
		if err != nil {
			return err
		}
		for _, r := range results {
			cause := &refusal{status: r.status, kind: r.cause.Type, reason: r.cause.text()}
			switch r.verdict {
			case verdictRepeat:
				return cause
			case verdictReject, verdictFail:
				return connectors.AsPermanent(cause)
			}
		}
	}
	return nil
}
