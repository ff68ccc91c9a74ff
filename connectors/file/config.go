package file

import (
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

const (
	defaultLines = 2000 // of batch.size
	formatRecord = "record"
	formatValue  = "value"
)

// sourceConfig is FileStreamSourceConnector's (Kafka 4.3). A configuration without file is accepted as there, but standard
// input has no position to resume at: such a task fails.
func sourceConfig() *connectors.ConfigDef {
	return &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: []connectors.Key{
		{Name: "file", Type: connectors.TypeString, Importance: "HIGH", Doc: "File to read. It is followed as it grows; it need not exist yet."},
		{Name: "topic", Type: connectors.TypeString, Required: true, Importance: "HIGH", Doc: "Topic of the records.", Check: connectors.NotEmpty},
		{Name: "batch.size", Type: connectors.TypeInt, Default: "2000", HasDefault: true, Importance: "LOW", Doc: "Largest number of lines that are moved together; 2000 when it is below 1."},
	}}
}

// sinkConfig is FileStreamSinkConnector's (Kafka 4.3), and format.
func sinkConfig() *connectors.ConfigDef {
	return &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: []connectors.Key{
		{Name: "file", Type: connectors.TypeString, Importance: "HIGH", Doc: "File to append to; without it, records go to standard output (at least once)."},
		{Name: "format", Type: connectors.TypeString, Default: formatRecord, HasDefault: true, Importance: "MEDIUM", Own: true, Check: oneFormat, Doc: "What a line is: record ({\"topic\",\"key\",\"value\",\"headers\"}) or value (the converted value alone, as FileStreamSink writes it; deletions without a value leave an empty line)."},
		{Name: "key.converter", Type: connectors.TypeClass, Importance: "LOW", Own: true, Doc: "Converter of keys; JSON without schemas when neither this nor the worker names one."},
		{Name: "key.converter.", Type: connectors.TypeString, Prefix: true},
		{Name: "value.converter", Type: connectors.TypeClass, Importance: "LOW", Own: true, Doc: "Converter of values; JSON without schemas when neither this nor the worker names one."},
		{Name: "value.converter.", Type: connectors.TypeString, Prefix: true},
	}}
}

func oneFormat(v string) string {
	return connectors.OneOfFold(formatRecord, formatValue)(strings.TrimSpace(v))
}
