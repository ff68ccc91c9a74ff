package offsets

import (
	"encoding/json"
	"fmt"
)

// EncodeKey returns the key under which Kafka Connect stores the offset of a partition: ["<connector>",{<partition>}]
// (OffsetStorageWriter; JsonConverter without schemas).
func EncodeKey(connector string, p Partition) ([]byte, error) {
	if len(p) < 2 || p[0] != '{' {
		return nil, fmt.Errorf("encode offset key of connector %s: partition %q is not a JSON object", connector, p)
	}
	out := append([]byte{'['}, quote(connector)...)
	return append(append(append(out, ','), p...), ']'), nil
}

// DecodeKey reads what EncodeKey, or Kafka Connect, wrote.
func DecodeKey(key []byte) (connector string, p Partition, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(key, &parts); err != nil || len(parts) != 2 {
		return "", "", fmt.Errorf("parse offset key %.200q: it must be [\"<connector>\",{<partition>}]", key)
	}
	if err := json.Unmarshal(parts[0], &connector); err != nil || parts[0][0] != '"' {
		return "", "", fmt.Errorf("parse offset key %.200q: the connector name is not a string", key)
	}
	if p, err = Canonical(parts[1]); err != nil {
		return "", "", fmt.Errorf("parse offset key %.200q: %w", key, err)
	}
	return connector, p, nil
}
