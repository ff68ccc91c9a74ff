package elasticsearch

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// knownIndex is an index that the sink writes to.
type knownIndex struct {
	name string
	uuid string // which the server gave it when it was made; "": an alias, a data stream, or not looked at
}

// A server makes an index that a document is sent to by itself, with a mapping of its own: the deletion of an index shows in nothing but
// its uuid. A lane looks before it writes, unless it has looked lately.
const (
	lookEvery   = time.Second
	longestPath = 3000 // bytes; servers take 4096
)

// uuids returns the uuids of those indices that exist under their names.
func (s *sink) uuids(ctx context.Context, names []string) (map[string]string, error) {
	out := map[string]string{}
	for len(names) > 0 {
		path, n := "/", 0
		for ; n < len(names) && (n == 0 || len(path)+len(names[n]) < longestPath); n++ {
			path += url.PathEscape(names[n]) + ","
		}
		names = names[n:]
		var answer map[string]struct {
			Settings struct{ Index struct{ UUID string } }
		}
		err := s.client.call(ctx, http.MethodGet, strings.TrimSuffix(path, ",")+"/_settings?ignore_unavailable=true&filter_path=*.settings.index.uuid", nil, &answer)
		if err != nil {
			return nil, err
		}
		for name, a := range answer {
			out[name] = a.Settings.Index.UUID
		}
	}
	return out, nil
}

// know notes an index and returns its number.
func (s *sink) know(name, uuid string) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.indexes, func(x knownIndex) bool { return x.name == name })
	if i < 0 {
		s.indexes = append(s.indexes, knownIndex{name, uuid})
		return uint32(len(s.indexes) - 1)
	}
	if s.indexes[i].uuid != uuid {
		s.indexes = slices.Clone(s.indexes) // lanes read it
		s.indexes[i].uuid = uuid
	}
	return uint32(i)
}

// present makes sure that the indices of some items are those that the sink knows. What keeps the server from answering will keep it from
// writing, too: the request after this one tells.
func (l *lane) present(ctx context.Context, blk *block, list []uint32) error {
	if time.Since(l.looked) < lookEvery {
		return nil
	}
	var names []string
	seen := make([]bool, len(l.indexes))
	for _, at := range list {
		if n := blk.items[at].index; !seen[n] && l.indexes[n].uuid != "" {
			seen[n] = true
			names = append(names, l.indexes[n].name)
		}
	}
	have, err := l.sink.uuids(ctx, names)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	l.looked = time.Now()
	for n, known := range l.indexes {
		switch uuid, there := have[known.name]; {
		case !seen[n] || uuid == known.uuid:
		case !there:
			return connectors.AsPermanent(fmt.Errorf("write to index %s: %s", known.name, deleted))
		default:
			return connectors.AsPermanent(fmt.Errorf("write to index %s: it was deleted and made again, perhaps by the server (action.auto_create_index), whose mapping is not this sink's: delete it. %s", known.name, deleted))
		}
	}
	return nil
}

const deleted = "somebody has deleted the index; restart the task, which makes it again for the changes that come; to have the earlier documents again, reset the connector's offsets, which takes a new snapshot"
