package connectors

import (
	"encoding/json"
	"fmt"

	"github.com/freshet-io/freshet/offsets"
)

// Entry is the record in which the position of one sink of several is stored, beside the plain one:
// {"server":"orders","sink":"ch"} → {"offset":"{\"lsn\":1}","order":"1/4242/7"}. Partition is the plain one.
func (p Progress) Entry(sink string) (offsets.Entry, error) {
	partition, err := SinkPartition(p.Partition, sink)
	if err != nil || p.Offset == "" {
		return offsets.Entry{Partition: partition}, err
	}
	text, err := json.Marshal(sinkRecord{Offset: string(p.Offset), Order: fmt.Sprintf("%d/%d/%d", p.Through.Epoch, p.Through.Major, p.Through.Minor)})
	if err != nil {
		return offsets.Entry{}, fmt.Errorf("encode position of sink %s: %w", sink, err)
	}
	return offsets.Entry{Partition: partition, Offset: offsets.Offset(text)}, nil
}

type sinkRecord struct {
	Offset string `json:"offset,omitempty"`
	Order  string `json:"order,omitempty"`
	Resync string `json:"resync,omitempty"`
}

// ResyncEntry is the record of a sink whose position was given up: why only a new copy of all data helps it. p is the plain partition.
func ResyncEntry(p offsets.Partition, sink, why string) (offsets.Entry, error) {
	partition, err := SinkPartition(p, sink)
	if err != nil {
		return offsets.Entry{}, err
	}
	text, err := json.Marshal(sinkRecord{Resync: why})
	if err != nil {
		return offsets.Entry{}, fmt.Errorf("encode state of sink %s: %w", sink, err)
	}
	return offsets.Entry{Partition: partition, Offset: offsets.Offset(text)}, nil
}

// ResyncOf is why the sink of a stored record needs a resync; "": it does not.
func ResyncOf(o offsets.Offset) string {
	var r sinkRecord
	if json.Unmarshal([]byte(o), &r) != nil {
		return ""
	}
	return r.Resync
}

// OwnPartition tells state of Freshet's own, which the reference does not know, from a position: its partition has a member
// "sink" (SinkPartition) or "freshet".
func OwnPartition(p offsets.Partition) bool {
	var members struct {
		Sink    *json.RawMessage `json:"sink"`
		Freshet *json.RawMessage `json:"freshet"`
	}
	err := json.Unmarshal([]byte(p), &members)
	return err == nil && (members.Sink != nil || members.Freshet != nil)
}

// SinkPartition is the partition under which the position of one sink of several is stored.
func SinkPartition(p offsets.Partition, sink string) (offsets.Partition, error) {
	name, err := json.Marshal(sink)
	if err != nil {
		return "", fmt.Errorf("encode sink name %q: %w", sink, err)
	}
	if len(p) < 2 || p[len(p)-1] != '}' {
		return "", fmt.Errorf("add sink %s to partition: %q is not a JSON object", sink, p)
	}
	text := string(p[:len(p)-1])
	if text != "{" {
		text += ","
	}
	return offsets.Canonical([]byte(text + `"sink":` + string(name) + "}"))
}

// PlainPartition is the partition without the sink that SinkPartition added; "" when p is not a partition of that sink.
func PlainPartition(p offsets.Partition, sink string) (offsets.Partition, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(p), &members); err != nil {
		return "", fmt.Errorf("parse partition %s: %w", p, err)
	}
	var name string
	if err := json.Unmarshal(members["sink"], &name); err != nil || name != sink {
		return "", nil // none, or another sink's
	}
	delete(members, "sink")
	text, err := json.Marshal(members)
	if err != nil {
		return "", fmt.Errorf("encode partition %s: %w", p, err)
	}
	return offsets.Canonical(text) // it undoes the escapes of Marshal
}

// ParseSinkEntry reads what Progress.Entry wrote; plain is the partition without the sink.
func ParseSinkEntry(plain offsets.Partition, o offsets.Offset) (Progress, error) {
	var r sinkRecord
	if err := json.Unmarshal([]byte(o), &r); err != nil {
		return Progress{}, fmt.Errorf("parse position of a sink in %s: %w", plain, err)
	}
	out := Progress{Partition: plain, Offset: offsets.Offset(r.Offset)}
	if _, err := fmt.Sscanf(r.Order, "%d/%d/%d", &out.Through.Epoch, &out.Through.Major, &out.Through.Minor); err != nil {
		return Progress{}, fmt.Errorf("parse order %q of a sink in %s: %w", r.Order, plain, err)
	}
	return out, nil
}
