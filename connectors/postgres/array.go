package postgres

import (
	"slices"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
)

// maxNesting is PostgreSQL's limit of array dimensions (MAXDIM).
const maxNesting = 6

// appendList decodes an array in text form, {1,2,NULL} or [0:1]={…}, into a KindList; dimensions become nested lists.
func appendList(w *connectors.Builder, d decoder, text []byte) error {
	p := arrayParser{w: w, d: d, text: skipBounds(text)}
	if !p.list(0) || len(p.text) != 0 {
		if p.err != nil {
			return p.err
		}
		return malformed("array")
	}
	return nil
}

// skipBounds removes the explicit bounds that PostgreSQL prints for arrays that do not start at 1.
func skipBounds(text []byte) []byte {
	if len(text) == 0 || text[0] != '[' {
		return text
	}
	for i, b := range text {
		if b == '=' {
			return text[i+1:]
		}
	}
	return text
}

type arrayParser struct {
	w    *connectors.Builder
	d    decoder
	text []byte // what is left
	err  error
}

// list reads one brace-enclosed list. It reports false when the text is malformed.
func (p *arrayParser) list(depth int) bool {
	if depth >= maxNesting || len(p.text) < 2 || p.text[0] != '{' {
		return false
	}
	p.text = p.text[1:]
	p.w.BeginList(connectors.KindList)
	if p.text[0] == '}' {
		p.text = p.text[1:]
		p.w.EndList()
		return true
	}
	for {
		if len(p.text) == 0 {
			return p.abandon()
		}
		switch p.text[0] {
		case '{':
			if !p.list(depth + 1) {
				return p.abandon()
			}
		case '"':
			if !p.quoted() {
				return p.abandon()
			}
		default:
			if !p.bare() {
				return p.abandon()
			}
		}
		if len(p.text) == 0 {
			return p.abandon()
		}
		b := p.text[0]
		p.text = p.text[1:]
		switch b {
		case '}':
			p.w.EndList()
			return true
		case ',':
		default:
			return p.abandon()
		}
	}
}

func (p *arrayParser) abandon() bool {
	p.w.AbandonList()
	return false
}

// bare reads an element without quotes; NULL is one.
func (p *arrayParser) bare() bool {
	at := 0
	for at < len(p.text) && p.text[at] != ',' && p.text[at] != '}' {
		if b := p.text[at]; b == '{' || b == '"' || b == '\\' {
			return false
		}
		at++
	}
	item := p.text[:at]
	p.text = p.text[at:]
	if len(item) == 0 {
		return false
	}
	if len(item) == 4 && (string(item) == "NULL" || string(item) == "null") {
		p.w.Null()
		return true
	}
	p.err = appendScalar(p.w, p.d.elem, item)
	return p.err == nil
}

// quoted reads an element in double quotes; a backslash takes the next byte as it is.
func (p *arrayParser) quoted() bool {
	at, escapes := 1, 0
	for at < len(p.text) && p.text[at] != '"' {
		if p.text[at] == '\\' {
			at++
			escapes++
		}
		at++
	}
	if at >= len(p.text) {
		return false
	}
	item := p.text[1:at]
	p.text = p.text[at+1:]
	if escapes == 0 {
		p.err = appendScalar(p.w, p.d.elem, item)
		return p.err == nil
	}
	if p.d.elem == opText {
		unescape(p.w.Grow(connectors.KindText, len(item)-escapes), item)
		return true
	}
	var buf [256]byte
	var plain []byte
	if n := len(item) - escapes; n <= len(buf) {
		plain = buf[:n]
	} else {
		plain = make([]byte, n)
	}
	unescape(plain, item)
	p.err = appendScalar(p.w, p.d.elem, plain)
	return p.err == nil
}

// unescape copies src to dst without the backslashes; dst has exactly the size needed.
func unescape(dst, src []byte) {
	n := 0
	for i := 0; i < len(src); i++ {
		if src[i] == '\\' {
			i++
		}
		dst[n] = src[i]
		n++
	}
}

// hstorePair is one member in the text of an hstore, still with its backslashes.
type hstorePair struct {
	key, value []byte
	null       bool
	bucket     uint32
}

// appendHstore decodes "key"=>"value", "key"=>NULL into a KindMap. An hstore has no order; the members come in the order in
// which the reference has them, that of a java.util.HashMap.
func appendHstore(w *connectors.Builder, text []byte) error {
	var few [16]hstorePair
	pairs := few[:0]
	for first := true; len(text) > 0; first = false {
		if !first {
			if len(text) < 2 || text[0] != ',' || text[1] != ' ' {
				return malformed("hstore")
			}
			text = text[2:]
		}
		var p hstorePair
		var ok bool
		if p.key, text, ok = hstoreItem(text); !ok || len(text) < 3 || text[0] != '=' || text[1] != '>' {
			return malformed("hstore")
		}
		text = text[2:]
		if len(text) >= 4 && string(text[:4]) == "NULL" {
			p.null, text = true, text[4:]
		} else if p.value, text, ok = hstoreItem(text); !ok {
			return malformed("hstore")
		}
		pairs = append(pairs, p)
	}
	sortPairs(pairs)
	w.BeginList(connectors.KindMap)
	for i := range pairs {
		appendUnescaped(w, pairs[i].key)
		if pairs[i].null {
			w.Null()
		} else {
			appendUnescaped(w, pairs[i].value)
		}
	}
	w.EndList()
	return nil
}

// sortPairs orders by the bucket of a HashMap of that many entries, and keeps the order within a bucket.
func sortPairs(pairs []hstorePair) {
	capacity := uint32(16)
	for len(pairs)*4 > int(capacity)*3 {
		capacity *= 2
	}
	for i := range pairs {
		h := javaHash(pairs[i].key)
		pairs[i].bucket = (h ^ h>>16) & (capacity - 1)
	}
	slices.SortStableFunc(pairs, func(a, b hstorePair) int { return int(a.bucket) - int(b.bucket) })
}

// javaHash is String.hashCode of escaped text: over UTF-16 units.
func javaHash(text []byte) uint32 {
	var h uint32
	for i := 0; i < len(text); {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		r, size := utf8.DecodeRune(text[i:])
		i += size
		if r > 0xFFFF {
			r -= 0x10000
			h = h*31 + uint32(0xD800+r>>10)
			r = 0xDC00 + r&0x3FF
		}
		h = h*31 + uint32(r)
	}
	return h
}

// hstoreItem cuts one quoted text off the front.
func hstoreItem(text []byte) (item, rest []byte, ok bool) {
	if len(text) == 0 || text[0] != '"' {
		return nil, nil, false
	}
	at := 1
	for at < len(text) && text[at] != '"' {
		if text[at] == '\\' {
			at++
		}
		at++
	}
	if at >= len(text) {
		return nil, nil, false
	}
	return text[1:at], text[at+1:], true
}

func appendUnescaped(w *connectors.Builder, item []byte) {
	escapes := 0
	for i := 0; i < len(item); i++ {
		if item[i] == '\\' {
			escapes++
			i++
		}
	}
	unescape(w.Grow(connectors.KindText, len(item)-escapes), item)
}
