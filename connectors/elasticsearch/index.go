package elasticsearch

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// target is what the server holds of an index.
type target struct {
	fields map[string]string // type by path; object for what has properties
}

// gcDeletes is how long the server remembers the versions of deleted documents, in indices that the sink makes: above what a request,
// its repeats and a rebalance may take, after which an older write of the same document could still arrive.
const gcDeletes = "15m"

// wanted is a field that a table needs.
type wantedField struct {
	name string
	fieldType
}

// ensure makes the index of a plan exist, with all fields of the table in its mapping before they are used.
func (s *sink) ensure(ctx context.Context, p *plan, stream *connectors.Stream) error {
	if p.keysOnly && s.cfg.mode == modeMirror { // deletes, which make no index
		t, err := s.read(ctx, p.index)
		p.skipped = err == nil && t == nil
		return err
	}
	fields := make([]wantedField, 0, len(p.columns))
	for i := range p.source.Columns {
		c := &p.source.Columns[i]
		fields = append(fields, wantedField{c.Name, mapping(c)})
	}
	if s.cfg.mode == modeAppend {
		fields = append(appendFields(), fields...)
	}
	return s.ensureIndex(ctx, p.index, p.id, fields, changes.TargetNames(stream))
}

func (s *sink) ensureIndex(ctx context.Context, index, table string, fields []wantedField, n map[string]string) error {
	t, err := s.read(ctx, index)
	if err != nil {
		return err
	}
	if t == nil {
		if !s.cfg.create || s.cfg.usage != "disabled" {
			return connectors.AsPermanent(fmt.Errorf("it does not exist; make it, or set %s=true without %s", keyCreate, keyUsage))
		}
		if err := s.make(ctx, index, fields, n); err != nil {
			return err
		}
		if t, err = s.read(ctx, index); err != nil {
			return err
		}
		if t == nil {
			return fmt.Errorf("it was made and is not there")
		}
	}
	missing, err := t.compare(index, table, fields)
	if err != nil || len(missing) == 0 {
		return err
	}
	if !s.cfg.evolve {
		return nil
	}
	path := "/" + url.PathEscape(index) + "/_mapping"
	if s.cfg.streams() { // the template first: whoever ends behind it does it again, as the mapping lacks the fields
		path += "?write_index_only=true"
		if err := s.extendTemplate(ctx, index, missing, n); err != nil {
			return err
		}
	}
	text := appendMapping([]byte(`{"properties":`), missing)
	if err := s.client.call(ctx, http.MethodPut, path, append(text, '}'), nil); err != nil {
		return fmt.Errorf("add fields %s to the mapping: %w", strings.Join(fieldNames(missing), ", "), err)
	}
	s.log.Info("fields were added to the mapping of an index", "index", index, "table", table, "fields", fieldNames(missing))
	return nil
}

func fieldNames(list []wantedField) []string {
	out := make([]string, len(list))
	for i, f := range list {
		out[i] = f.name
	}
	return out
}

// read returns what the server holds of an index, data stream or alias; nil when there is none.
func (s *sink) read(ctx context.Context, index string) (*target, error) {
	var answer map[string]struct {
		Mappings struct {
			Properties map[string]property `json:"properties"`
		} `json:"mappings"`
	}
	err := s.client.call(ctx, http.MethodGet, "/"+url.PathEscape(index)+"/_mapping", nil, &answer)
	if statusOf(err) == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := &target{fields: map[string]string{}}
	latest := "" // of a data stream: its last backing index, .ds-NAME-…-GENERATION, is written to
	for name := range answer {
		if generation(name) >= generation(latest) {
			latest = name
		}
	}
	for name, one := range answer { // of an alias there may be several
		if !s.cfg.streams() || name == latest {
			t.add("", one.Mappings.Properties)
		}
	}
	return t, nil
}

func generation(index string) string { return index[strings.LastIndexByte(index, '-')+1:] }

type property struct {
	Type       string              `json:"type"`
	Properties map[string]property `json:"properties"`
}

func (t *target) add(prefix string, properties map[string]property) {
	for name, p := range properties {
		if p.Type == "" {
			p.Type = "object"
		}
		t.fields[prefix+name] = p.Type
		t.add(prefix+name+".", p.Properties)
	}
}

// compare lists the fields that the mapping lacks; one that cannot hold the column's values is an error.
func (t *target) compare(index, table string, fields []wantedField) (missing []wantedField, err error) {
	for _, f := range fields {
		have, ok := t.fields[f.name]
		switch {
		case !ok:
			missing = append(missing, f)
		case !holds(have, f.kind):
			return nil, connectors.AsPermanent(fmt.Errorf("field %s is mapped as %s, which does not hold the values of column %s of table %s (%s is needed), and a mapping cannot be changed. Write to a new index (%s, or %s and %s) and take a new snapshot, or reindex into one whose mapping has %s: %s",
				f.name, have, f.name, table, f.kind, keyFormat, keyUsage, keyResources, f.name, f.definition))
		}
	}
	return missing, nil
}

// appendMapping writes the properties of a mapping.
func appendMapping(dst []byte, fields []wantedField) []byte {
	dst = append(dst, '{')
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(changes.AppendJSONText(dst, f.name), ':'), f.definition...)
	}
	return append(dst, '}')
}

// make makes an index, or the data stream with its template.
func (s *sink) make(ctx context.Context, index string, fields []wantedField, n map[string]string) error {
	body, err := s.body(fields, n)
	if err != nil {
		return err
	}
	if s.cfg.streams() {
		if err := s.putTemplate(ctx, index, body); err != nil {
			return fmt.Errorf("make the index template of the data stream: %w", err)
		}
		if err := s.client.call(ctx, http.MethodPut, "/_data_stream/"+url.PathEscape(index), nil, nil); err != nil && !already(err) {
			return fmt.Errorf("make the data stream: %w", err)
		}
		s.log.Info("a data stream and its template were made", "stream", index)
		return nil
	}
	if err := s.client.call(ctx, http.MethodPut, "/"+url.PathEscape(index), body, nil); err != nil && !already(err) {
		return fmt.Errorf("make it: %w", err)
	}
	s.log.Info("an index was made", "index", index, "mapping", string(body.Mappings), "settings", body.Settings)
	return nil
}

// indexBody is what an index is made with.
type indexBody struct {
	Settings map[string]string   `json:"settings"`
	Mappings json.RawMessage     `json:"mappings"`
	Aliases  map[string]struct{} `json:"aliases,omitempty"`
}

func (s *sink) body(fields []wantedField, n map[string]string) (*indexBody, error) {
	d := &indexBody{Settings: map[string]string{"index.gc_deletes": gcDeletes, "index.mapping.total_fields.limit": fmt.Sprint(max(1000, 3*len(fields)))}}
	if s.cfg.streams() {
		delete(d.Settings, "index.gc_deletes")
	}
	for name, v := range s.cfg.settings {
		d.Settings["index."+strings.TrimPrefix(name, "index.")] = v
	}
	d.Aliases = map[string]struct{}{}
	for _, format := range s.cfg.aliases {
		name, err := changes.Expand(format, n)
		if err == nil {
			name, err = indexName(name)
		}
		if err != nil {
			return nil, connectors.AsPermanent(fmt.Errorf("read %s: %w", keyAliases, err))
		}
		d.Aliases[name] = struct{}{}
	}
	d.Mappings = append(appendMapping([]byte(`{"dynamic":"strict","properties":`), fields), '}')
	if len(fields) == 0 {
		d.Mappings = []byte(`{}`)
	}
	return d, nil
}

func templatePath(index string) string { return "/_index_template/freshet-" + url.PathEscape(index) }

func (s *sink) putTemplate(ctx context.Context, index string, body *indexBody) error {
	template := map[string]any{"index_patterns": []string{index}, "data_stream": struct{}{}, "priority": 500, "template": body}
	return s.client.call(ctx, http.MethodPut, templatePath(index), template, nil)
}

// extendTemplate adds fields to the template of a data stream, with which a rollover makes the next index. A template of somebody
// else's is theirs.
func (s *sink) extendTemplate(ctx context.Context, index string, missing []wantedField, n map[string]string) error {
	var answer struct {
		List []struct {
			Index struct {
				Template struct {
					Mappings struct {
						Properties map[string]json.RawMessage `json:"properties"`
					} `json:"mappings"`
				} `json:"template"`
			} `json:"index_template"`
		} `json:"index_templates"`
	}
	err := s.client.call(ctx, http.MethodGet, templatePath(index), nil, &answer)
	if statusOf(err) == http.StatusNotFound || err == nil && len(answer.List) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the index template of the data stream: %w", err)
	}
	fields := slices.Clone(missing)
	for name, text := range answer.List[0].Index.Template.Mappings.Properties {
		if !slices.ContainsFunc(missing, func(f wantedField) bool { return f.name == name }) {
			fields = append(fields, wantedField{name, fieldType{definition: string(text)}})
		}
	}
	body, err := s.body(fields, n)
	if err == nil {
		err = s.putTemplate(ctx, index, body)
	}
	if err != nil {
		return fmt.Errorf("add fields %s to the index template of the data stream: %w", strings.Join(fieldNames(missing), ", "), err)
	}
	return nil
}

// already tells that somebody else has made it.
func already(err error) bool {
	return statusOf(err) == http.StatusBadRequest && strings.Contains(err.Error(), "already_exists_exception")
}

// retry calls f until it succeeds or cannot.
func (s *sink) retry(ctx context.Context, f func(context.Context) error) error {
	for attempt := 0; ; attempt++ {
		err := f(ctx)
		if err == nil || ctx.Err() != nil || connectors.ClassOf(err) != connectors.Retriable {
			return err
		}
		wait := min(s.cfg.pause<<min(attempt, 16), longestPause)
		wait = time.Duration(rand.Int64N(int64(wait)) + 1)
		s.task.Retrying(fmt.Errorf("ask Elasticsearch: %w%s", err, advice(err)))
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
