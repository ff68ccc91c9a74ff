package elasticsearch

import (
	"slices"
	"strings"

	"github.com/freshet-io/freshet/schemas"
)

// fieldType is how one field is mapped. Integers are all long, and floats all double, so that a column that is widened keeps its
// mapping. What is exact stays so in the document; where the index cannot hold a value (an infinite date, a decimal of many digits), the
// value is in the document and not searchable as such (ignore_malformed).
type fieldType struct {
	kind       string // of Elasticsearch
	definition string // the whole of it
}

const keywordField = `"fields":{"keyword":{"type":"keyword","ignore_above":256}}`

// mapping is the mapping of a column (docs/connectors/elasticsearch.md has the table).
func mapping(c *schemas.Column) fieldType {
	switch c.Type {
	case schemas.TypeBool:
		return fieldType{"boolean", `{"type":"boolean"}`}
	case schemas.TypeInt16, schemas.TypeInt32, schemas.TypeInt64:
		return fieldType{"long", `{"type":"long"}`}
	case schemas.TypeUint64:
		return fieldType{"long", `{"type":"long","ignore_malformed":true,` + keywordField + `}`}
	case schemas.TypeFloat32, schemas.TypeFloat64:
		return fieldType{"double", `{"type":"double","ignore_malformed":true}`}
	case schemas.TypeDecimal, schemas.TypeMoney:
		return fieldType{"double", `{"type":"double","ignore_malformed":true,` + keywordField + `}`}
	case schemas.TypeText, schemas.TypeXML:
		return fieldType{"text", `{"type":"text",` + keywordField + `}`}
	case schemas.TypeBytes:
		return fieldType{"binary", `{"type":"binary"}`}
	case schemas.TypeDate, schemas.TypeTimestamp, schemas.TypeTimestampTZ:
		return fieldType{"date", `{"type":"date","ignore_malformed":true}`}
	case schemas.TypeJSON, schemas.TypeMap:
		return fieldType{"object", `{"type":"object","enabled":false}`}
	case schemas.TypePoint:
		return fieldType{"object", `{"properties":{"x":{"type":"double","ignore_malformed":true},"y":{"type":"double","ignore_malformed":true}}}`}
	case schemas.TypeList:
		if c.Elem != nil {
			return mapping(c.Elem)
		}
	}
	return fieldType{"keyword", `{"type":"keyword","ignore_above":8191}`}
}

// isRaw tells columns whose text is JSON.
func isRaw(c *schemas.Column) bool {
	for c.Type == schemas.TypeList && c.Elem != nil {
		c = c.Elem
	}
	return c.Type == schemas.TypeJSON
}

// holds tells whether a field that is mapped as have takes the values that are mapped as want by default. An index may have been
// made by somebody who wants keywords, or scaled floats.
func holds(have, want string) bool {
	if have == want {
		return true
	}
	var others string
	switch want {
	case "long":
		others = "byte short integer unsigned_long half_float float double scaled_float keyword text wildcard date"
	case "double":
		others = "half_float float scaled_float keyword text wildcard"
	case "boolean":
		others = "keyword text"
	case "date":
		others = "date_nanos keyword text wildcard"
	case "binary":
		others = "keyword text"
	case "object":
		others = "nested flattened flat_object geo_point"
	case "text", "keyword":
		others = "text keyword wildcard match_only_text constant_keyword search_as_you_type annotated_text icu_collation_keyword completion version ip date date_nanos semantic_text geo_point geo_shape"
	}
	return slices.Contains(strings.Fields(others), have)
}
