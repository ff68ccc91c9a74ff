package json

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

// Records that were written as JSON and read again have the cells of the change, but for what events do not show: under each mode the
// columns of viewsBatch named here, and no other ones.
func TestRowsOfJSON(t *testing.T) {
	// Cut to milliseconds: k m n o and DEL. Zones: p. Intervals as µs: q. One bit: s. hstore as JSON, or in another order: u. Digits that the type
	// adds or the event drops: i w. Lists in lists: x. Unsigned numbers as what the event makes of them: } ~. A point as it is in Postgres: {.
	// NULL where the schema has a default: c. 24:00: l. Bytes as text: r. What an event cannot say (NaN, an infinite timestamp in ns, a time
	// that is none of a day) is NULL: h m n DEL.
	for _, c := range []struct {
		modes   connectors.Config
		columns string
	}{
		{connectors.Config{}, "chikmopqsuwx{}~\x7f"},
		{connectors.Config{"decimal.handling.mode": "string", "time.precision.mode": "connect", "binary.handling.mode": "base64", "hstore.handling.mode": "map", "interval.handling.mode": "string"}, "chikmnoprsuwx{}~\x7f"},
		{connectors.Config{"decimal.handling.mode": "double", "time.precision.mode": "isostring", "binary.handling.mode": "hex"}, "chilopqrsuwx{}~\x7f"},
		{connectors.Config{"time.precision.mode": "nanoseconds", "binary.handling.mode": "base64-url-safe"}, "chimnopqrsuwx{}~"},
		{connectors.Config{"time.precision.mode": "microseconds"}, "chiopqsuwx{}~"},
	} {
		b := viewsBatch(t, c.modes)
		keys, values := encoders(t, connectors.Config{}, b.Streams[0])
		d, err := NewDecoder(connectors.Config{})
		if err != nil {
			t.Fatal(err)
		}
		decode := func(e interface {
			Append(dst []byte, b *connectors.Batch, r *connectors.Record) ([]byte, bool, error)
		}, b *connectors.Batch, r *connectors.Record,
		) (out connectors.Body) {
			text, null, err := e.Append(nil, b, r)
			if err == nil && !null {
				out.Value, err = d.Decode(text)
			}
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		var differ []string
		connectortest.Unfolded(t, b, "placeholder", func(b *connectors.Batch, r *connectors.Record) connectors.Body {
			out := connectors.Body{Key: decode(keys, b, r).Value, Value: decode(values, b, r).Value}
			if after, ok := out.Value.Value.(schemas.StructValue)[changes.EnvelopeAfter].(schemas.StructValue); ok {
				if p, ok := after['{'-'a'].(schemas.StructValue); ok {
					p[3] = nil // no point of Postgres has an SRID
				}
			}
			return out
		}, func(column, was, is string) {
			if was != "absent" && !(column == "g" && is == "absent") && !slices.Contains(differ, column) {
				differ = append(differ, column)
			}
		})
		slices.Sort(differ)
		if got := strings.Join(differ, ""); got != c.columns {
			t.Errorf("%v: %q differ, not %q", c.modes, got, c.columns)
		}
		b.Release()
	}
}
