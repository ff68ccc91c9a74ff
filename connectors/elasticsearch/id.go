package elasticsearch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// maxID is the longest document id that the server takes, in bytes.
const maxID = 512

// appendID writes the document id of a key: the text of each key column, joined by commas. In a text a backslash is \\ and, where
// there are several columns, a comma is \,; NULL is \N and an empty id is \e. An id above 512 bytes is sha256- and the hash of it in
// hex. It is the same for equal keys in all versions: documents are found by it.
func appendID(dst []byte, b *connectors.Batch, key []connectors.Cell, fields []int) ([]byte, int, problem) {
	start := len(dst)
	several := len(fields) > 1
	for i, at := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		if at >= len(key) {
			return dst, i, problemUnavailable
		}
		var why problem
		if dst, why = appendPart(dst, b, key[at], several); why != "" {
			return dst, i, why
		}
	}
	switch n := len(dst) - start; {
	case n == 0:
		dst = append(dst, `\e`...)
	case n > maxID:
		sum := sha256.Sum256(dst[start:])
		dst = hex.AppendEncode(append(dst[:start], "sha256-"...), sum[:])
	}
	return dst, 0, ""
}

func appendPart(dst []byte, b *connectors.Batch, c connectors.Cell, several bool) ([]byte, problem) {
	switch c.Kind {
	case connectors.KindInt:
		return changes.AppendInt(dst, c.Int()), ""
	case connectors.KindNull:
		return append(dst, `\N`...), ""
	case connectors.KindAbsent, connectors.KindUnavailable:
		return dst, problemUnavailable
	case connectors.KindText:
		return appendPlain(dst, b.Bytes(c), several), ""
	case connectors.KindDecimal:
		return append(dst, shortest(b.Bytes(c))...), ""
	case connectors.KindFloat32, connectors.KindFloat64:
		v := c.Float()
		if v == 0 {
			v = 0 // -0 is 0
		}
		return changes.AppendJavaDouble(dst, v, 64), ""
	}
	at := len(dst)
	dst, why := appendValue(dst, b, c, false)
	if why != "" {
		return dst, why
	}
	text := dst[at:]
	if n := len(text); n > 1 && text[0] == '"' {
		dst = dst[:at+copy(text, text[1:n-1])]
	}
	return dst, ""
}

func appendPlain(dst, text []byte, several bool) []byte {
	for len(text) > 0 {
		i := bytes.IndexByte(text, '\\')
		if several {
			i = bytes.IndexAny(text, `\,`)
		}
		if i < 0 {
			break
		}
		dst = append(append(dst, text[:i]...), '\\', text[i])
		text = text[i+1:]
	}
	return append(dst, text...)
}

// shortest is a decimal without zeros behind the point, which make no other number of it.
func shortest(text []byte) []byte {
	if bytes.IndexByte(text, '.') < 0 {
		return text
	}
	return bytes.TrimSuffix(bytes.TrimRight(text, "0"), []byte("."))
}

const (
	versionBits = 55
	maxMajor    = 1<<versionBits - 1
	maxEpoch    = 1<<8 - 1
)

// versionOf is the document version of a change: 8 bits of epoch, then 55 of the commit's position (of MySQL's, 23 bits of file number
// and 32 of position). What has more does not fit into the server's 63 bits.
func versionOf(o connectors.Order) (uint64, error) {
	switch {
	case o.Epoch > maxEpoch:
		return 0, fmt.Errorf("make a document version: the history of the source has number %d, and versions have room for %d; write to a new index, and reset the connector's offsets", o.Epoch, maxEpoch)
	case o.Major > maxMajor:
		return 0, fmt.Errorf("make a document version: position %d of the source is above 2^%d; with MySQL, run RESET BINARY LOGS AND GTIDS to begin the numbers of its files anew, write to a new index, and reset the connector's offsets", o.Major, versionBits)
	}
	return uint64(o.Epoch)<<versionBits | o.Major, nil
}
