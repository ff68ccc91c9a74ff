package kafka

import (
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/kafkaclient"
)

func checkHeaderConverter(c, worker connectors.Config) error {
	class := strings.TrimSpace(c["header.converter"])
	if class == "" {
		class = strings.TrimSpace(worker["header.converter"])
	}
	switch class {
	case "", "SimpleHeaderConverter", "org.apache.kafka.connect.storage.SimpleHeaderConverter",
		"StringConverter", "org.apache.kafka.connect.storage.StringConverter":
		return nil
	}
	return fmt.Errorf("header.converter %s is not supported yet: use org.apache.kafka.connect.storage.SimpleHeaderConverter", class)
}

// appendHeaders writes the record's own headers as text; the stream's come after them
// (org.apache.kafka.connect.storage.SimpleHeaderConverter). The bytes lie in w.scratch until the record is appended.
func (w *writer) appendHeaders(o *output, b *connectors.Batch, r *connectors.Record) []kafkaclient.Header {
	if r.Headers.Absent() {
		return nil
	}
	w.headers = w.headers[:0]
	cells := b.Cells(r.Headers)
	for i := 0; i+1 < len(cells); i += 2 {
		at := len(w.scratch)
		h := kafkaclient.Header{Key: b.Bytes(cells[i])}
		out, null := converters.AppendHeader(w.scratch, b, o.stream, cells[i+1])
		if !null {
			w.scratch = out
			h.Value = out[at:len(out):len(out)]
		}
		w.headers = append(w.headers, h)
	}
	return w.headers
}
