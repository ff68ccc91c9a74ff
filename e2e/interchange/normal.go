package interchange

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	lsns      = regexp.MustCompile(`"(lsn|lsn_proc|lsn_commit)":(\d+)`)
	txIDs     = regexp.MustCompile(`"txId":(\d+)`)
	sequences = regexp.MustCompile(`"sequence":"\[(null|\\"\d+\\"),\\"(\d+)\\"\]"`)
	times     = regexp.MustCompile(`"ts_(ms|us|ns)":\d+`)
	micros    = regexp.MustCompile(`"ts_usec":(\d+)`)
	// What these have in "lsn" is the place of no change, though the next change may begin there.
	noChange = regexp.MustCompile(`"messageType":"COMMIT"|"snapshot":"(INITIAL|true|first|last)`)
	versions = regexp.MustCompile(`"version":"[^"]+","connector"`)
	runIDs   = regexp.MustCompile(`runId=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
)

// places turn the values of one server into text: the LSN of a change, the LSN behind a commit, a transaction, a commit time in µs.
type places struct {
	change, mark, tx, time func(uint64) string
}

// rewrite replaces the values of an event or an offset that differ from server to server by nature.
func (p places) rewrite(text string) string {
	change := p.change
	if noChange.MatchString(text) {
		change = p.mark
	}
	text = lsns.ReplaceAllStringFunc(text, func(m string) string {
		name, value, _ := strings.Cut(m, ":")
		if name == `"lsn_commit"` {
			return name + ":" + p.mark(number(value))
		}
		return name + ":" + change(number(value))
	})
	text = sequences.ReplaceAllStringFunc(text, func(m string) string {
		parts := sequences.FindStringSubmatch(m)
		commit := parts[1]
		if commit != "null" {
			commit = `\"` + p.mark(number(commit)) + `\"`
		}
		return `"sequence":"[` + commit + `,\"` + change(number(parts[2])) + `\"]"`
	})
	text = txIDs.ReplaceAllStringFunc(text, func(m string) string { return `"txId":` + p.tx(number(m)) })
	return micros.ReplaceAllStringFunc(text, func(m string) string { return `"ts_usec":` + p.time(number(m)) })
}

// names are places in the history: c17 a change, x3 behind a commit, t3 a transaction, s before the first.
func (h *History) names() places {
	return places{change: h.change, mark: h.mark, tx: h.tx, time: h.committed}
}

// Normal is an event's text with LSNs and transaction ids as places in the history, and without times and versions: what is left must be equal
// byte for byte, whoever wrote it. name is the rig's.
func (h *History) Normal(e Event, name string) string {
	var headers strings.Builder
	for _, header := range e.Record.Headers {
		fmt.Fprintf(&headers, " %s=%s", header.Key, header.Value)
	}
	text := fmt.Sprintf("%s %s %s%s", e.Record.Topic, e.Record.Key, e.Record.Value, runIDs.ReplaceAllString(headers.String(), "runId=ID"))
	text = versions.ReplaceAllString(strings.ReplaceAll(text, name, "NAME"), `"version":"","connector"`)
	text = times.ReplaceAllString(h.names().rewrite(text), `"ts_$1":0`)
	// Before the first commit of a slot Debezium writes null, or after a stop inside that transaction the place where it went on.
	return strings.Replace(text, `"sequence":"[\"s\",`, `"sequence":"[null,`, 1)
}

// NormalOffset is the same for an offset.
func (h *History) NormalOffset(offset string) string { return h.names().rewrite(offset) }

// moved translates the text of a server with the history h for one with the history to, on which what was before the history is at
// start.
func (h *History) moved(text string, to *History, start uint64) (string, error) {
	var failed error
	lsn := func(name func(uint64) string) func(uint64) string {
		return func(old uint64) string {
			found, err := to.at(name(old), start)
			if err != nil {
				failed = err
			}
			return strconv.FormatUint(found, 10)
		}
	}
	text = places{
		change: lsn(h.change), mark: lsn(h.mark),
		tx: func(old uint64) string {
			if i, found := h.txIndex(old); found && i < len(to.Txs) {
				return strconv.FormatUint(uint64(to.Txs[i].XID), 10)
			}
			return strconv.FormatUint(old, 10)
		},
		time: func(old uint64) string {
			for i, t := range h.Txs {
				if uint64(t.Micros) == old && i < len(to.Txs) {
					return strconv.FormatInt(to.Txs[i].Micros, 10)
				}
			}
			return strconv.FormatUint(old, 10)
		},
	}.rewrite(text)
	return text, failed
}

func (h *History) txIndex(xid uint64) (int, bool) {
	for i, t := range h.Txs {
		if uint64(t.XID) == xid {
			return i, true
		}
	}
	return 0, false
}

// tx names a transaction; s is one that is not in the history, such as a snapshot's.
func (h *History) tx(xid uint64) string {
	if i, found := h.txIndex(xid); found {
		return fmt.Sprintf("t%d", i)
	}
	return "s"
}

// committed names the transaction that was committed at a time.
func (h *History) committed(micros uint64) string {
	for i, t := range h.Txs {
		if uint64(t.Micros) == micros {
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
