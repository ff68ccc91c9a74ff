package file

import (
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

const (
	defaultLines = 2000
	formatRecord = "record"
	formatValue  = "value"
)

// sourceConfig is FileStreamSourceConnector's (Kafka 4.3); file is required, for standard input has no position to resume at.
func sourceConfig() *connectors.ConfigDef {
	return &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: "file", Type: connectors.TypeString, Required: true, Importance: "HIGH", Display: "file", Width: "LONG", Doc: "File to read. It is followed as it grows; it need not exist yet."},
		{Name: "topic", Type: connectors.TypeString, Required: true, Importance: "HIGH", Display: "topic", Width: "MEDIUM", Doc: "Topic of the records.", Check: notBlank},
		{Name: "batch.size", Type: connectors.TypeInt, Default: "2000", HasDefault: true, Importance: "LOW", Check: positive, Doc: "Largest number of lines that are moved together."},
	}}
}

// sinkConfig is FileStreamSinkConnector's (Kafka 4.3), and format.
func sinkConfig() *connectors.ConfigDef {
	return &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: "file", Type: connectors.TypeString, HasDefault: true, Importance: "HIGH", Display: "file", Width: "LONG", Doc: "File to append to; without it, records go to standard output (at least once)."},
		{Name: "format", Type: connectors.TypeString, Default: formatRecord, HasDefault: true, Importance: "MEDIUM", Closed: true, Recommended: []string{formatRecord, formatValue}, Doc: "What a line is: record ({\"topic\",\"key\",\"value\",\"headers\"}) or value (the converted value alone, as FileStreamSink writes it; deletions without a value leave an empty line)."},
		{Name: "key.converter", Type: connectors.TypeClass, Importance: "LOW", Doc: "Converter of keys; JSON without schemas when neither this nor the worker names one."},
		{Name: "key.converter.", Type: connectors.TypeString, Prefix: true},
		{Name: "value.converter", Type: connectors.TypeClass, Importance: "LOW", Doc: "Converter of values; JSON without schemas when neither this nor the worker names one."},
		{Name: "value.converter.", Type: connectors.TypeString, Prefix: true},
	}}
}

func notBlank(v string) string {
	if strings.TrimSpace(v) == "" {
		return "A value is required"
	}
	return ""
}

func positive(v string) string {
	if v = strings.TrimSpace(v); v == "0" || strings.HasPrefix(v, "-") {
		return "Value must be at least 1"
	}
	return ""
}
