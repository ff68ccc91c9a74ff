package postgres

import (
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
	plain := buf[:0]
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

// appendHstore decodes "key"=>"value", "key"=>NULL into a KindMap.
func appendHstore(w *connectors.Builder, text []byte) error {
	w.BeginList(connectors.KindMap)
	for first := true; len(text) > 0; first = false {
		if !first {
			if len(text) < 2 || text[0] != ',' || text[1] != ' ' {
				return abandonHstore(w)
			}
			text = text[2:]
		}
		var ok bool
		if text, ok = hstoreItem(w, text); !ok || len(text) < 3 || text[0] != '=' || text[1] != '>' {
			return abandonHstore(w)
		}
		text = text[2:]
		if len(text) >= 4 && string(text[:4]) == "NULL" {
			w.Null()
			text = text[4:]
			continue
		}
		if text, ok = hstoreItem(w, text); !ok {
			return abandonHstore(w)
		}
	}
	w.EndList()
	return nil
}

func abandonHstore(w *connectors.Builder) error {
	w.AbandonList()
	return malformed("hstore")
}

// hstoreItem reads one quoted text and returns what follows it.
func hstoreItem(w *connectors.Builder, text []byte) ([]byte, bool) {
	if len(text) == 0 || text[0] != '"' {
		return nil, false
	}
	at, escapes := 1, 0
	for at < len(text) && text[at] != '"' {
		if text[at] == '\\' {
			at++
			escapes++
		}
		at++
	}
	if at >= len(text) {
		return nil, false
	}
	item := text[1:at]
	unescape(w.Grow(connectors.KindText, len(item)-escapes), item)
	return text[at+1:], true
}
