package interchange

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	sourceLSN      = regexp.MustCompile(`"lsn":(\d+)`)
	sourceTx       = regexp.MustCompile(`"txId":(\d+)`)
	sourceSequence = regexp.MustCompile(`"sequence":"\[(null|\\"\d+\\"),\\"(\d+)\\"\]"`)
	times          = regexp.MustCompile(`"ts_(ms|us|ns)":\d+`)
	offsetCommit   = regexp.MustCompile(`"(lsn_commit|lsn_proc)":(\d+)`)
	offsetTime     = regexp.MustCompile(`"ts_usec":(\d+)`)
	offsetDone     = regexp.MustCompile(`"messageType":"COMMIT"|"snapshot":`)
)

// Normal is an event's text with the values that differ from server to server by nature (LSNs, transaction ids, times) replaced
// by their place in the history. What is left must be equal byte for byte, whoever wrote it.
func (h *History) Normal(e Event) string {
	text := string(e.Record.Value)
	text = sourceLSN.ReplaceAllStringFunc(text, func(m string) string { return `"lsn":` + h.change(number(m)) })
	text = sourceTx.ReplaceAllStringFunc(text, func(m string) string { return `"txId":` + h.tx(number(m)) })
	text = sourceSequence.ReplaceAllStringFunc(text, func(m string) string {
		parts := sourceSequence.FindStringSubmatch(m)
		commit := parts[1]
		if commit != "null" {
			commit = h.mark(number(commit))
		}
		return fmt.Sprintf(`"sequence":[%s,%s]`, commit, h.change(number(parts[2])))
	})
	text = times.ReplaceAllString(text, `"ts_$1":0`)
	topic := e.Record.Topic[strings.LastIndexByte(e.Record.Topic, '.')+1:]
	var headers strings.Builder
	for _, header := range e.Record.Headers {
		fmt.Fprintf(&headers, " %s=%s", header.Key, header.Value)
	}
	return fmt.Sprintf("%s %s %s%s", topic, e.Record.Key, text, headers.String())
}

// NormalOffset is the same for an offset.
func (h *History) NormalOffset(offset string) string {
	return h.replaceOffset(offset, strconv.Quote, func(micros int64) string {
		for i, t := range h.Txs {
			if t.Micros == micros {
				return strconv.Quote(fmt.Sprintf("t%d", i))
			}
		}
		return `"?"`
	})
}

func (h *History) replaceOffset(offset string, place func(string) string, time func(int64) string) string {
	name := h.change
	if offsetDone.MatchString(offset) {
		name = h.mark
	}
	text := sourceLSN.ReplaceAllStringFunc(offset, func(m string) string { return `"lsn":` + place(name(number(m))) })
	text = offsetCommit.ReplaceAllStringFunc(text, func(m string) string {
		if strings.HasPrefix(m, `"lsn_commit"`) {
			return `"lsn_commit":` + place(h.mark(number(m)))
		}
		return `"lsn_proc":` + place(name(number(m)))
	})
	text = sourceTx.ReplaceAllStringFunc(text, func(m string) string { return `"txId":` + place(h.tx(number(m))) })
	return offsetTime.ReplaceAllStringFunc(text, func(m string) string { return `"ts_usec":` + time(int64(number(m))) })
}

// tx names a transaction; "s" is one that is not in the history, such as a snapshot's.
func (h *History) tx(xid uint64) string {
	for i, t := range h.Txs {
		if uint64(t.XID) == xid {
			return fmt.Sprintf("t%d", i)
		}
	}
	return "s"
}

// number is the digits of a text.
func number(text string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimFunc(text, func(r rune) bool { return r < '0' || r > '9' }), 10, 64) // the pattern has digits only
	return n
}
