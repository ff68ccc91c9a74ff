// Package httppoll is a source that asks an HTTP endpoint again and again for what is new.
//
// The endpoint answers with a JSON array of objects or with one object per line, sorted by a field that grows: a number, or a time as
// RFC 3339 writes it. The source remembers the last value of that field as its offset. Where the endpoint takes it as a query parameter, it
// has to answer with what is at or behind it; if several objects have the same value, those that were read are recognised.
package httppoll

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// Sources makes sources that poll an HTTP endpoint.
type Sources struct{ Version string }

// Describe implements connectors.Factory.
func (f Sources) Describe() connectors.Description {
	return connectors.Description{
		Class: "io.freshet.examples.HttpPollSourceConnector", Aliases: []string{"HttpPollSource"}, Source: true, Version: f.Version,
		Doc: "Reads the objects of a JSON endpoint that are new since the last request.", Config: config(),
	}
}

func config() *connectors.ConfigDef {
	return &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: "http.url", Type: connectors.TypeString, Required: true, Importance: "HIGH", Check: checkURL, Doc: "Endpoint, http:// or https://. No secrets belong here: it is shown."},
		{Name: "http.authorization", Type: connectors.TypePassword, Importance: "MEDIUM", Doc: "Value of the Authorization header, such as Bearer and a token."},
		{Name: "http.interval.ms", Type: connectors.TypeLong, Default: "5000", HasDefault: true, Importance: "MEDIUM", Check: changes.CheckPositiveLong, Doc: "Pause between two requests when there is no next page."},
		{Name: "http.cursor.field", Type: connectors.TypeString, Required: true, Importance: "HIGH", Doc: "Field by which the objects are sorted: an integer or an RFC 3339 time."},
		{Name: "http.cursor.parameter", Type: connectors.TypeString, Importance: "MEDIUM", Doc: "Query parameter that is set to the last value of the cursor field; without it the endpoint always answers with everything."},
		{Name: "http.page.bytes", Type: connectors.TypeInt, Default: "16777216", HasDefault: true, Importance: "LOW", Check: changes.CheckPositive, Doc: "Largest answer that is accepted."},
		{Name: "topic", Type: connectors.TypeString, Required: true, Importance: "HIGH", Doc: "Topic of the records, and name of the table that sinks make of it."},
		{Name: "key.field", Type: connectors.TypeString, Importance: "MEDIUM", Doc: "Field that is the key of a record."},
		{Name: "columns", Type: connectors.TypeList, Importance: "MEDIUM", Check: checkColumns, Doc: "Fields and their types, such as id:int64,name:text. Types: " + strings.Join(typeNames(), ", ") + ". Without it the objects are taken as they are."},
	}}
}

// types are the types of columns.
var types = map[string]schemas.Type{
	"bool": schemas.TypeBool, "int64": schemas.TypeInt64, "float64": schemas.TypeFloat64, "decimal": schemas.TypeDecimal, "text": schemas.TypeText,
	"timestamp": schemas.TypeTimestampTZ, "json": schemas.TypeJSON,
}

func typeNames() []string {
	var out []string
	for name := range types {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func checkURL(v string) string {
	u, err := url.Parse(strings.TrimSpace(v))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "A URL that begins with http:// or https:// is expected"
	case u.User != nil:
		return "No user and password are expected here; use http.authorization"
	}
	return ""
}

func checkColumns(v string) string {
	return changes.ProblemOf(tableOf("t", "", connectors.SplitList(v)))
}

// tableOf makes a table of the items of columns; nil without any.
func tableOf(name, key string, columns []string) (*schemas.Table, error) {
	if len(columns) == 0 {
		return nil, nil
	}
	t := &schemas.Table{Name: name}
	for i, item := range columns {
		column, typ, _ := strings.Cut(item, ":")
		if types[typ] == schemas.TypeOther || column == "" {
			return nil, fmt.Errorf("%q is not name:type with one of the types %s", item, strings.Join(typeNames(), ", "))
		}
		t.Columns = append(t.Columns, schemas.Column{Name: column, Type: types[typ], Length: -1, Scale: -1, Optional: column != key})
		if column == key {
			t.Key = []int{i}
		}
	}
	if key != "" && len(t.Key) == 0 {
		return nil, fmt.Errorf("key.field %s is not one of columns; add it there", key)
	}
	return t, nil
}

// Validate implements connectors.Factory: the endpoint must answer with what the source can read.
func (f Sources) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	values := config().Check(c)
	if len(connectors.Errors(values)) > 0 {
		return values
	}
	s, err := newSource(config().Values(c), slog.New(slog.DiscardHandler))
	if err != nil {
		return connectors.Blame(values, err, "columns")
	}
	defer s.client.CloseIdleConnections()
	if err := s.fetch(ctx); err != nil {
		return connectors.BlameServer(values, err, "http.url")
	}
	return values
}

// Tasks implements connectors.Factory: one endpoint, one task.
func (f Sources) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSource implements connectors.SourceFactory.
func (f Sources) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	v, err := config().Read(c)
	if err != nil {
		return nil, err
	}
	log := s.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return newSource(v, log)
}
