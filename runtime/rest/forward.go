package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxAnswer bounds what is read of another worker's answer, in bytes.
const maxAnswer = 64 << 20

// forward sends the request to the worker at url, which may send it on once more, and returns its answer (reference §1.4).
func (r *request) forward(ctx context.Context, url string) (answer, error) {
	hop := "true"
	if r.query.Has("forward") {
		if !r.flag("forward") {
			r.api.options.Logger.Error("found no worker for a request within two hops: the cluster is probably rebalancing",
				"method", r.Method, "path", r.URL.Path)
			return answer{}, &httpError{
				status: http.StatusConflict, message: "Cannot complete request because of a conflicting operation (e.g. worker rebalance)",
			}
		}
		hop = "false"
	}
	if url == "" {
		return answer{}, &httpError{
			status:  http.StatusConflict,
			message: "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway.",
		}
	}
	to, err := r.forwardRequest(ctx, url, hop)
	if err != nil {
		return answer{}, fmt.Errorf("forward the request to %s: %w", url, err)
	}
	r.api.options.Logger.Debug("forward a request", "method", r.Method, "path", r.URL.Path, "to", url)
	reply, err := r.api.client.Do(to)
	if err != nil {
		return answer{}, fmt.Errorf("IO Error trying to forward REST request: %w", err)
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("IO Error trying to forward REST request: %w", err)
	}
	return readForwarded(reply.StatusCode, body)
}

func (r *request) forwardRequest(ctx context.Context, base, hop string) (*http.Request, error) {
	var path strings.Builder
	segments, err := splitPath(r.target())
	if err != nil {
		return nil, err
	}
	for _, s := range segments {
		path.WriteString("/" + url.PathEscape(s))
	}
	query := url.Values{"forward": {hop}}
	for _, key := range []string{"includeTasks", "onlyFailed"} {
		if r.query.Has(key) {
			query.Set(key, r.query.Get(key))
		}
	}
	to, err := http.NewRequestWithContext(ctx, r.Method, strings.TrimSuffix(base, "/")+path.String()+"?"+query.Encode(), bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	to.Header.Set("User-Agent", "kafka-connect")
	to.Header.Set("Accept", jsonType)
	if len(r.body) > 0 {
		to.Header.Set("Content-Type", jsonType)
	}
	for _, key := range []string{"Authorization", headerSignature, headerAlgorithm} {
		if v := r.Header.Get(key); v != "" {
			to.Header.Set(key, v)
		}
	}
	return to, nil
}

// readForwarded turns another worker's answer into this one's.
func readForwarded(status int, body []byte) (answer, error) {
	switch {
	case status >= http.StatusBadRequest:
		var m message
		if err := json.Unmarshal(body, &m); err != nil {
			return answer{}, fmt.Errorf("the worker that this request belongs to answered %d without a text", status)
		}
		return answer{}, &httpError{status: status, message: m.Message}
	case status >= http.StatusMultipleChoices:
		return answer{}, fmt.Errorf("the worker that this request belongs to answered %d: it is not followed", status)
	case len(body) == 0:
		return answer{status: status}, nil
	}
	out := answer{status: status, body: json.RawMessage(body)}
	if status == http.StatusCreated {
		var made struct{ Name string }
		if err := json.Unmarshal(body, &made); err != nil {
			return answer{}, fmt.Errorf("read the answer of the worker that this request belongs to: %w", err)
		}
		out.location = made.Name
	}
	return out, nil
}
