package clickhouse

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// insert sends a section as one block. When it returns nil the rows are durable as the server understands it.
func (s *server) insert(ctx context.Context, sec *section) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.patience)
	defer cancel()
	query := url.Values{
		"query": {sec.plan.insert}, "database": {s.cfg.database}, "wait_end_of_query": {"1"},
		"async_insert":                             {"0"}, // one insert, one block, durable when it is answered
		"insert_deduplication_token":               {sec.token},
		"throw_on_max_partitions_per_insert_block": {"0"},
	}
	if s.cfg.cluster != "" {
		query.Set("insert_distributed_sync", "1")
	}
	maps.Copy(query, s.cfg.settings)
	parts := net.Buffers(sec.parts())
	var length int64
	for _, p := range parts {
		length += int64(len(p))
	}
	encoding := s.cfg.compression
	var body *upload
	if encoding == "none" {
		body, encoding = newUpload(&parts, nil), ""
	} else {
		body, length = compressed(&parts, encoding), -1
	}
	_, err := s.post(ctx, query, encoding, length, body)
	_ = body.Close()
	<-body.done // nobody reads the section's memory any more
	return err
}

// upload is the body of a request. net/http may close it after it has returned the answer.
type upload struct {
	io.Reader
	once sync.Once
	end  func()
	done chan struct{} // closed when it is read no more
}

func newUpload(r io.Reader, end func()) *upload {
	return &upload{Reader: r, end: end, done: make(chan struct{})}
}

// Close implements io.Closer.
func (u *upload) Close() error {
	u.once.Do(func() {
		if u.end != nil {
			u.end()
		}
		close(u.done)
	})
	return nil
}

// compressed returns a body of the compressed parts; the goroutine that compresses ends with it.
func compressed(parts *net.Buffers, kind string) *upload {
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var to io.WriteCloser
		var err error
		switch kind {
		case "lz4":
			to = lz4.NewWriter(w)
		case "gzip":
			to, err = gzip.NewWriterLevel(w, gzip.BestSpeed)
		default:
			to, err = zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		}
		if err == nil {
			if _, err = parts.WriteTo(to); err == nil {
				err = to.Close()
			}
		}
		if err != nil {
			err = fmt.Errorf("compress a block: %w", err)
		}
		w.CloseWithError(err)
	}()
	return newUpload(r, func() {
		_ = r.Close()
		<-ended
	})
}
