package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
)

// answer is what a handler found: its body is JSON, or nothing when it is nil.
type answer struct {
	status   int
	body     any
	location string // a connector's name, for a Location
}

// message is the body of every error, and of the answers that have a text only.
type message struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// httpError is an error with its status. One without a type is the HTTP layer's: it came before a resource was chosen.
type httpError struct {
	status  int
	message string
	untyped bool
}

func (e *httpError) Error() string { return e.message }

// statusError is an error that has the status' own text.
func statusError(status int) *httpError {
	return &httpError{status: status, message: fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))}
}

func untyped(status int) error {
	e := statusError(status)
	e.untyped = true
	return e
}

var errBadHeader = untyped(http.StatusBadRequest)

// status returns the code and the text for an error.
func (r *request) status(err error) (code int, text string) {
	var (
		h       *httpError
		request *runtime.RequestError
		config  *runtime.ConfigError
		leader  *herder.NotLeader
		owner   *herder.NotOwner
	)
	switch {
	case errors.As(err, &h):
		return h.status, h.message
	case errors.As(err, &request):
		if request.Kind < 400 || request.Kind > 599 {
			return http.StatusInternalServerError, request.Message
		}
		return int(request.Kind), request.Message
	case errors.As(err, &config):
		return http.StatusBadRequest, config.Error() +
			"\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`"
	case errors.As(err, &leader), errors.As(err, &owner):
		return http.StatusConflict, err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusInternalServerError, fmt.Sprintf("Request timed out. The worker is currently working on %s %s, which began at %s",
			r.Method, r.URL.Path, r.began.UTC().Format(time.RFC3339Nano))
	}
	return http.StatusInternalServerError, err.Error()
}

func (r *request) fail(w http.ResponseWriter, err error) {
	code, text := r.status(err)
	contentType := jsonType
	var h *httpError
	if errors.As(err, &h) && h.untyped {
		contentType = ""
	}
	r.write(w, code, contentType, encode(message{code, text}))
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Appendf(nil, `{"error_code":500,"message":%q}`, "encode the answer: "+err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func (r *request) reply(w http.ResponseWriter, a answer) {
	if a.location != "" {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		w.Header().Set("Location", scheme+"://"+r.Host+"/connectors/"+escapeName(a.location))
	}
	if a.body == nil {
		r.write(w, a.status, "", nil)
		return
	}
	body, ok := a.body.(json.RawMessage)
	if !ok {
		body = encode(a.body)
	}
	r.write(w, a.status, r.answerType, body)
}

func (r *request) write(w http.ResponseWriter, status int, contentType string, body []byte) {
	if contentType == "" {
		w.Header()["Content-Type"] = nil // no guess at it
	} else {
		w.Header().Set("Content-Type", contentType)
	}
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // a test's recorder has none
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone
}
