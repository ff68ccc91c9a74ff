package changes

import (
	"crypto/md5"  //nolint:gosec // the user chooses the algorithm
	"crypto/sha1" //nolint:gosec // the user chooses the algorithm
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// Masks hides values of text columns before they leave the source, so that every sink gets the hidden value. Keys are not masked.
type Masks struct{ rules []maskRule }

type maskRule struct {
	columns Patterns
	make    func() *Mask
}

// Mask is how one column is hidden. It belongs to one goroutine.
type Mask struct {
	kind    maskKind
	size    int    // characters of maskFixed and maskTruncate
	fixed   []byte // maskFixed: what is written
	salt    []byte
	v1      bool // hash the Java serialisation of the text
	digest  hash.Hash
	remake  func() hash.Hash
	scratch []byte
	length  int // columns' declared length, characters; 0: none
}

type maskKind uint8

const (
	maskFixed maskKind = iota
	maskTruncate
	maskHash
)

// NewMasks reads column.mask.with.<n>.chars, column.truncate.to.<n>.chars and column.mask.hash[.v2].<algorithm>.with.salt.<salt>.
func NewMasks(c connectors.Config) (*Masks, error) {
	m := &Masks{}
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		maker, err := maskMaker(name)
		if err != nil {
			return nil, err
		}
		if maker == nil {
			continue
		}
		columns, err := ParsePatterns(name, c[name])
		if err != nil {
			return nil, err
		}
		m.rules = append(m.rules, maskRule{columns, maker})
	}
	return m, nil
}

// maskMaker returns nil for a key that is no mask. Salts stay out of errors (I12).
func maskMaker(name string) (func() *Mask, error) {
	if rest, ok := between(name, "column.mask.with.", ".chars"); ok {
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("read %s: %q is not a number of characters", name, rest)
		}
		return func() *Mask { return &Mask{kind: maskFixed, size: n, fixed: []byte(strings.Repeat("*", n))} }, nil
	}
	if rest, ok := between(name, "column.truncate.to.", ".chars"); ok {
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("read %s: %q is not a number of characters", name, rest)
		}
		return func() *Mask { return &Mask{kind: maskTruncate, size: n} }, nil
	}
	rest, ok := strings.CutPrefix(name, "column.mask.hash.")
	if !ok {
		return nil, nil
	}
	rest, v2 := strings.CutPrefix(rest, "v2.")
	algorithm, salt, ok := strings.Cut(rest, ".with.salt.")
	if !ok {
		return nil, fmt.Errorf("read column.mask.hash key: it must be column.mask.hash[.v2].<algorithm>.with.salt.<salt>")
	}
	maker := digestOf(algorithm)
	if maker == nil {
		return nil, fmt.Errorf("read column.mask.hash key: algorithm %q is not supported; use MD5, SHA-1, SHA-224, SHA-256, SHA-384 or SHA-512", algorithm)
	}
	return func() *Mask {
		return &Mask{kind: maskHash, digest: maker(), remake: maker, salt: []byte(salt), v1: !v2}
	}, nil
}

func between(name, prefix, suffix string) (string, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, suffix)
}

func digestOf(algorithm string) func() hash.Hash {
	switch strings.ToUpper(algorithm) {
	case "MD5":
		return md5.New
	case "SHA-1", "SHA1", "SHA":
		return sha1.New
	case "SHA-224":
		return sha256.New224
	case "SHA-256":
		return sha256.New
	case "SHA-384":
		return sha512.New384
	case "SHA-512":
		return sha512.New
	case "SHA-512/256":
		return sha512.New512_256
	case "SHA-512/224":
		return sha512.New512_224
	}
	return nil
}

// For returns how a column is hidden, nil when it is not. length is its declared length in characters, 0 or less when
// unbounded: a hash is cut to it, and what cannot be longer is not truncated. Only text columns may be masked.
func (m *Masks) For(t TableID, column string, length int) *Mask {
	if m == nil {
		return nil
	}
	name := t.String() + "." + column
	for _, r := range m.rules {
		if r.columns.Match(name) {
			out := r.make()
			out.length = length
			if out.kind == maskTruncate && length > 0 && length <= out.size {
				return nil
			}
			return out
		}
	}
	return nil
}

// Clone returns the mask for another goroutine; nil of nil.
func (m *Mask) Clone() *Mask {
	if m == nil {
		return nil
	}
	out := *m
	out.scratch = nil
	if m.remake != nil {
		out.digest = m.remake()
	}
	return &out
}

// Schema returns the schema of a masked column: s with the parameter that tells consumers.
func (m *Mask) Schema(s *schemas.Schema) *schemas.Schema {
	if m.kind == maskTruncate {
		return withParameters(s, schemas.Parameter{Name: "truncateLength", Value: strconv.Itoa(m.size)})
	}
	return withParameters(s, schemas.Parameter{Name: "masked", Value: "true"})
}

// Append writes the hidden form of text as a KindText cell. NULL stays NULL and is the caller's to write, but for
// fixed masks (see Always).
func (m *Mask) Append(w *connectors.Builder, text []byte) {
	switch m.kind {
	case maskFixed:
		w.Text(connectors.KindText, m.fixed)
	case maskTruncate:
		w.Text(connectors.KindText, text[:prefixChars(text, m.size)])
	case maskHash:
		w.Text(connectors.KindText, m.hash(text))
	}
}

// Always tells that NULL is hidden too.
func (m *Mask) Always() bool { return m.kind == maskFixed }

func (m *Mask) hash(text []byte) []byte {
	m.digest.Reset()
	m.digest.Write(m.salt)
	if m.v1 {
		// An ObjectOutputStream with one String: magic, version, TC_STRING, length, modified UTF-8.
		m.scratch = appendModifiedUTF8(append(m.scratch[:0], 0xAC, 0xED, 0, 5, 0x74, 0, 0), text)
		if n := len(m.scratch) - 7; n <= 0xFFFF {
			binary.BigEndian.PutUint16(m.scratch[5:], uint16(n))
			m.digest.Write(m.scratch)
		} else { // TC_LONGSTRING
			head := binary.BigEndian.AppendUint64([]byte{0xAC, 0xED, 0, 5, 0x7C}, uint64(n))
			m.digest.Write(head)
			m.digest.Write(m.scratch[7:])
		}
	} else {
		m.digest.Write(text)
	}
	m.scratch = m.digest.Sum(m.scratch[:0])
	n := len(m.scratch)
	m.scratch = hex.AppendEncode(m.scratch, m.scratch)
	out := m.scratch[n:]
	if m.length > 0 && len(out) > m.length {
		out = out[:m.length]
	}
	return out
}

// prefixChars returns how many bytes the first n UTF-16 units take (Java counts those); a pair is not cut in half.
func prefixChars(text []byte, n int) int {
	at := 0
	for at < len(text) && n > 0 {
		r, size := utf8.DecodeRune(text[at:])
		n--
		if r > 0xFFFF {
			if n == 0 {
				break
			}
			n--
		}
		at += size
	}
	return at
}

func appendModifiedUTF8(dst, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == 0:
			dst = append(dst, 0xC0, 0x80)
		case r > 0xFFFF:
			r -= 0x10000
			for _, u := range [2]rune{0xD800 + r>>10, 0xDC00 + r&0x3FF} {
				dst = append(dst, byte(0xE0|u>>12), byte(0x80|u>>6&0x3F), byte(0x80|u&0x3F))
			}
		default:
			dst = append(dst, text[:size]...)
		}
		text = text[size:]
	}
	return dst
}

// Propagation is column.propagate.source.type and datatype.propagate.source.type. Immutable.
type Propagation struct{ columns, types Patterns }

// SourceType is what the propagated parameters say of a column.
type SourceType struct {
	Name     string // of the type; written in upper case
	Length   int32  // -1: not given
	Scale    int32  // -1: not given
	FullType string // <table>.<type>, what datatype.propagate.source.type matches, without the table
}

// NewPropagation reads both keys.
func NewPropagation(c connectors.Config) (*Propagation, error) {
	const byColumn, byType = "column.propagate.source.type", "datatype.propagate.source.type"
	columns, err := ParsePatterns(byColumn, c[byColumn])
	if err != nil {
		return nil, err
	}
	types, err := ParsePatterns(byType, c[byType])
	if err != nil {
		return nil, err
	}
	return &Propagation{columns, types}, nil
}

// Schema returns s with the parameters __debezium.source.column.*, or s itself when the column is not propagated.
// comment is left out when empty.
func (p *Propagation) Schema(s *schemas.Schema, t TableID, column, comment string, st SourceType) *schemas.Schema {
	if p == nil || st.Name == "" || !(p.columns.Match(t.String()+"."+column) || p.matchType(t, st)) {
		return s
	}
	add := []schemas.Parameter{{Name: "__debezium.source.column.type", Value: strings.ToUpper(st.Name)}}
	if st.Length >= 0 {
		add = append(add, schemas.Parameter{Name: "__debezium.source.column.length", Value: strconv.Itoa(int(st.Length))})
	}
	if st.Scale >= 0 {
		add = append(add, schemas.Parameter{Name: "__debezium.source.column.scale", Value: strconv.Itoa(int(st.Scale))})
	}
	if comment != "" {
		add = append(add, schemas.Parameter{Name: "__debezium.source.column.comment", Value: comment})
	}
	add = append(add, schemas.Parameter{Name: "__debezium.source.column.name", Value: column})
	return withParameters(s, add...)
}

func (p *Propagation) matchType(t TableID, st SourceType) bool {
	if len(p.types) == 0 {
		return false
	}
	name := st.Name
	if st.FullType != "" {
		name = st.FullType
	}
	return p.types.Match(name) || p.types.Match(t.String()+"."+name) || (t.Catalog != "" && p.types.Match(t.Catalog+"."+t.String()+"."+name))
}

func withParameters(s *schemas.Schema, add ...schemas.Parameter) *schemas.Schema {
	out := *s
	out.Parameters = append(append([]schemas.Parameter(nil), s.Parameters...), add...)
	return &out
}
