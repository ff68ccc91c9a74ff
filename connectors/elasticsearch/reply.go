package elasticsearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/schemas"
)

// bulkPath asks for what tells failures, and for nothing else.
const bulkPath = "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.type,items.*.error.caused_by.reason"

// verdict is what the answer to one action means.
type verdict uint8

const (
	verdictDone   verdict = iota
	verdictRepeat         // the server was too busy, or not able to, now
	verdictReject         // this document cannot be written
	verdictFail           // nothing can be written: a missing right, a missing index
	verdictOlder          // the document has a newer version
)

type result struct {
	verdict verdict
	status  int
	cause   failureCause
}

// outcome reads the answer to a bulk request of n actions; nil: all were done.
func outcome(answer []byte, n int, op func(i int) itemOp) ([]result, error) {
	if head := answer[:min(len(answer), 64)]; bytes.Contains(head, []byte(`"errors":false`)) {
		return nil, nil
	}
	var full struct {
		Errors *bool `json:"errors"`
		Items  []map[string]struct {
			Status int          `json:"status"`
			Error  failureCause `json:"error"`
		} `json:"items"`
	}
	if err := json.Unmarshal(answer, &full); err != nil || full.Errors == nil {
		return nil, fmt.Errorf("read the answer to a bulk request: it is not one: %s", shorten(string(answer), 200))
	}
	if !*full.Errors {
		return nil, nil
	}
	if len(full.Items) != n {
		return nil, fmt.Errorf("read the answer to a bulk request: %d actions were sent and %d answered", n, len(full.Items))
	}
	out := make([]result, n)
	for i, item := range full.Items {
		for _, r := range item {
			out[i] = result{verdict: judge(r.Status, r.Error.Type, op(i)), status: r.Status, cause: r.Error}
		}
	}
	return out, nil
}

func judge(status int, kind string, op itemOp) verdict {
	switch {
	case status < 300, status == http.StatusNotFound && op == opDelete && kind == "":
		return verdictDone
	case status == http.StatusConflict && op == opCreate:
		return verdictDone // it is there already
	case status == http.StatusConflict && op == opUpdate:
		return verdictRepeat
	case status == http.StatusConflict:
		return verdictOlder
	case transient(status, kind):
		return verdictRepeat
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound && kind == "index_not_found_exception":
		return verdictFail
	}
	return verdictReject
}

// fieldInReason finds the field that the server's reason for a refusal names.
var fieldInReason = regexp.MustCompile(`field \[([^\]]+)\]|field="([^"]+)"|object mapping (?:for )?\[([^\]]+)\]|introduction of \[([^\]]+)\]`)

// refusedColumn is the column of a table that a reason is about, "" when it names none. A field may have others below it.
func refusedColumn(reason string, t *schemas.Table) string {
	field := strings.Join(append(fieldInReason.FindStringSubmatch(reason), "", "")[1:], "")
	for field != "" && t.Column(field) < 0 {
		field = field[:max(strings.LastIndexByte(field, '.'), 0)]
	}
	return field
}

// storedEpoch reads the epoch of the version that a conflict names: "… current version [4] is higher … than the one provided [3]".
func storedEpoch(reason string) (uint64, bool) {
	_, rest, ok := strings.Cut(reason, "current version [")
	number, _, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return 0, false
	}
	v, err := strconv.ParseUint(number, 10, 63)
	return v >> versionBits, err == nil
}
