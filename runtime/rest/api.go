package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/loglevel"
)

// Options say what is not in the worker's properties.
type Options struct {
	Version, Commit string           // of GET /
	Logger          *slog.Logger     // nil: nothing is logged
	Levels          *loglevel.Levels // of /admin/loggers; nil: a registry that nothing reads
	// Extra are handlers for paths beside the reference's, for example "/metrics", or "/freshet/" for all below it. A worker
	// that asks for a password asks for it there too.
	Extra   map[string]http.Handler
	Timeout time.Duration // of one request; 0: 90 s
	MaxBody int           // bytes of one request's body; 0: 16 MiB
}

const (
	defaultTimeout = 90 * time.Second
	healthTimeout  = 10 * time.Second
	bodyTimeout    = 30 * time.Second // for a client to send its body
	answerTimeout  = 60 * time.Second // for a client to take its answer
	defaultMaxBody = 16 << 20
	maxBodies      = 128 << 20 // bytes of all bodies that are in memory
)

// API answers the requests. It keeps no state of connectors.
type API struct {
	herder  Herder
	config  Config
	options Options
	client  *http.Client // to other workers
	auth    []authenticator
	bodies  atomic.Int64 // bytes of bodies in memory
}

// NewAPI returns the API over h.
func NewAPI(h Herder, c Config, o Options) *API {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("logger", "freshet.rest")
	if o.Levels == nil {
		o.Levels = loglevel.New(slog.LevelInfo)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.Version == "" {
		o.Version, o.Commit = "4.3.0", "unknown"
	}
	return &API{herder: h, config: c, options: o, client: c.client(), auth: c.authenticators(o.Logger)}
}

// Handler serves the listeners; with admin it serves /admin/loggers, which admin.listeners may have for themselves.
func (a *API) Handler(main, admin bool) http.Handler {
	return a.config.headers(http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r := &request{Request: hr, api: a, began: time.Now(), answerType: jsonType}
		recorder := &recorder{ResponseWriter: w}
		if hr.ContentLength != 0 { // also for a body that nobody reads
			_ = http.NewResponseController(w).SetReadDeadline(r.began.Add(bodyTimeout)) // a test's recorder has none
		}
		defer func() {
			if p := recover(); p != nil {
				r.panicked(recorder, p)
			}
			a.options.Logger.Debug("request", "method", hr.Method, "path", hr.URL.Path, "status", recorder.status,
				"remote", hr.RemoteAddr, "took", time.Since(r.began))
		}()
		r.serve(recorder, main, admin)
	}))
}

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController the writer below.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// request is one request on its way.
type request struct {
	*http.Request
	api        *API
	began      time.Time
	names      []string // what the path's variables stand for
	query      url.Values
	body       []byte
	answerType string
}

func (r *request) panicked(w *recorder, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	r.api.options.Logger.Error("a request failed in a way that is a fault of this program", "method", r.Method, "path", r.URL.Path,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if w.status == 0 {
		r.fail(w, fmt.Errorf("internal error: %v", p))
	}
}

func (r *request) serve(w http.ResponseWriter, main, admin bool) {
	if main && r.extra(w) {
		return
	}
	segments, err := splitPath(r.target())
	if err != nil {
		var bad *badPath
		errors.As(err, &bad)
		bad.write(w, r.Method)
		return
	}
	endpoint, names := find(segments, main, admin)
	if endpoint == nil {
		r.fail(w, untyped(http.StatusNotFound))
		return
	}
	r.names, r.query = names, r.URL.Query()
	handle, err := r.choose(endpoint)
	if err != nil {
		r.fail(w, err)
		return
	}
	if !endpoint.signed[r.Method] && !r.preflight() {
		if err := r.allow(); err != nil {
			err.write(r, w)
			return
		}
	}
	if handle == nil {
		r.options(w, endpoint)
		return
	}
	if err := r.readBody(w); err != nil {
		r.fail(w, err)
		return
	}
	defer r.api.bodies.Add(-int64(len(r.body)))
	r.perform(w, handle)
}

// target is the path as the client wrote it.
func (r *request) target() string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.EscapedPath()
}

// extra serves the paths of Options.Extra.
func (r *request) extra(w http.ResponseWriter) bool {
	for path, h := range r.api.options.Extra {
		if r.URL.Path != path && (!strings.HasSuffix(path, "/") || !strings.HasPrefix(r.URL.Path, path)) {
			continue
		}
		if err := r.allow(); err != nil {
			err.write(r, w)
		} else {
			h.ServeHTTP(w, r.Request)
		}
		return true
	}
	return false
}

// choose finds the method's handler, nil for OPTIONS, and checks what may be sent and asked for.
func (r *request) choose(e *endpoint) (handler, error) {
	method := r.Method
	handle, ok := e.methods[method]
	if method == http.MethodHead && !ok {
		handle, ok = e.methods[http.MethodGet]
	}
	if method == http.MethodOptions {
		return nil, nil
	}
	if !ok {
		return nil, untyped(http.StatusMethodNotAllowed)
	}
	if e.reads {
		switch ok, err := readable(r.Header.Get("Content-Type")); {
		case err != nil:
			return nil, err
		case !ok:
			return nil, untyped(http.StatusUnsupportedMediaType)
		}
	}
	wanted, ok := accepted(r.Header)
	if !ok {
		return nil, errBadHeader
	}
	if r.answerType = jsonFor(wanted); r.answerType == "" {
		return nil, untyped(http.StatusNotAcceptable)
	}
	return handle, nil
}

// options answers OPTIONS: with the methods as a text, or with nothing of the type that was asked for.
func (r *request) options(w http.ResponseWriter, e *endpoint) {
	allow := []string{http.MethodOptions}
	for m := range e.methods {
		allow = append(allow, m)
	}
	if _, ok := e.methods[http.MethodGet]; ok {
		allow = append(allow, http.MethodHead)
	}
	slices.Sort(allow)
	list := strings.Join(allow, ",")
	w.Header().Set("Allow", list)
	wanted, ok := accepted(r.Header)
	switch {
	case !ok:
		r.fail(w, errBadHeader)
	case wanted[0].matches("text/plain"):
		r.write(w, http.StatusOK, "text/plain", []byte(list))
	default:
		r.write(w, http.StatusOK, wanted[0].kind+"/"+wanted[0].sub, nil)
	}
}

// readBody reads the whole body within its bounds of size, of memory for all of them, and of time.
func (r *request) readBody(w http.ResponseWriter) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	limit := r.api.options.MaxBody
	tooLarge := &httpError{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("The request's body is larger than %d bytes", limit)}
	if r.ContentLength > int64(limit) {
		w.Header().Set("Connection", "close")
		return tooLarge
	}
	body := make([]byte, 0, max(512, r.ContentLength+1))
	charged := int64(0)
	defer func() {
		if r.body == nil {
			r.api.bodies.Add(-charged)
		}
	}()
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		charged += int64(n)
		switch {
		case r.api.bodies.Add(int64(n)) > maxBodies:
			w.Header().Set("Connection", "close")
			return &httpError{status: http.StatusServiceUnavailable, message: "Too many large requests at once: try again later"}
		case len(body) > limit:
			w.Header().Set("Connection", "close")
			return tooLarge
		case errors.Is(err, io.EOF):
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			r.body = body
			return nil
		case err != nil:
			w.Header().Set("Connection", "close")
			return &httpError{status: http.StatusBadRequest, message: "read the request's body: " + err.Error()}
		}
	}
}

// perform calls the handler, on another worker when it belongs there. What changes something goes on when the client leaves.
func (r *request) perform(w http.ResponseWriter, handle handler) {
	ctx := r.Context()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, r.api.options.Timeout)
	defer cancel()
	found, err := handle(ctx, r)
	var leader *herder.NotLeader
	var owner *herder.NotOwner
	switch {
	case errors.As(err, &leader):
		found, err = r.forward(ctx, leader.URL)
	case errors.As(err, &owner):
		found, err = r.forward(ctx, owner.URL)
	}
	if err != nil {
		r.fail(w, err)
		return
	}
	r.reply(w, found)
}
