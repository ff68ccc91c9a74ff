package httppoll

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// fetch asks for the next page and keeps its items that are new.
func (s *source) fetch(ctx context.Context) error {
	if s.next == nil {
		s.next = s.first()
	}
	answer, err := s.get(ctx, s.next)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	page := s.next
	s.next, s.due = nil, time.Now().Add(s.interval())
	if answer.StatusCode == http.StatusNotModified {
		return nil
	}
	limit := s.config.Int("http.page.bytes")
	text, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", s.name, err)
	}
	if int64(len(text)) > limit {
		return connectors.AsPermanent(fmt.Errorf("read answer of %s: it has more than %d bytes; let the endpoint answer in pages, or raise http.page.bytes", s.name, limit))
	}
	if s.items, err = s.fresh(text); err != nil {
		return connectors.AsPermanent(fmt.Errorf("read answer of %s: %w", s.name, err))
	}
	if link := nextLink.FindStringSubmatch(answer.Header.Get("Link")); link != nil {
		return s.follow(page, link[1])
	}
	s.asked, s.etag, s.modified = page.String(), answer.Header.Get("ETag"), answer.Header.Get("Last-Modified")
	return nil
}

// first is where to begin to look for what is new.
func (s *source) first() *url.URL {
	u := *s.base
	if p := s.config.String("http.cursor.parameter"); p != "" && s.at.cursor != "" {
		q := u.Query()
		q.Set(p, s.at.cursor)
		u.RawQuery = q.Encode()
	}
	return &u
}

var nextLink = regexp.MustCompile(`<([^>]*)>[^,]*;\s*rel="?next"?`)

// follow notes the next page. It must be at the same server, which alone is to see http.authorization.
func (s *source) follow(page *url.URL, link string) error {
	next, err := page.Parse(link)
	if err != nil || next.Host != s.base.Host || next.Scheme != s.base.Scheme {
		return connectors.AsPermanent(fmt.Errorf("follow the next page of %s: its link leads elsewhere than to %s", s.name, s.base.Host))
	}
	s.next, s.due = next, time.Time{}
	return nil
}

// get asks, and tells what a status means.
func (s *source) get(ctx context.Context, u *url.URL) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("ask %s: it is no URL; check http.url", s.name))
	}
	r.Header.Set("Accept", "application/json, application/x-ndjson")
	for name, value := range map[string]string{"Authorization": s.config.String("http.authorization"), "If-None-Match": s.etag, "If-Modified-Since": s.modified} {
		if value != "" && (name == "Authorization" || s.asked == u.String()) {
			r.Header.Set(name, value)
		}
	}
	answer, err := s.client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err // its text has the whole URL
		}
		return nil, fmt.Errorf("ask %s: %w", s.name, err)
	}
	status := answer.StatusCode
	if status == http.StatusOK || status == http.StatusNotModified {
		return answer, nil
	}
	_ = answer.Body.Close()
	err = fmt.Errorf("ask %s: %s", s.name, answer.Status)
	after, told := retryAfter(answer.Header.Get("Retry-After"))
	switch {
	case told && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable):
		return nil, &busyError{err, after}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return nil, connectors.AsPermanent(fmt.Errorf("%w; check http.authorization", err))
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return nil, err // the runtime tries again, with growing pauses
	}
	return nil, connectors.AsPermanent(fmt.Errorf("%w; check http.url and http.cursor.parameter", err))
}

// busyError: the endpoint has said when to ask again.
type busyError struct {
	error
	after time.Duration
}

// retryAfter reads a header Retry-After: seconds, or a date.
func retryAfter(text string) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(text)
	return time.Until(date), err == nil
}

// pauseOf bounds the pause that an endpoint asks for: it is not shorter than the usual one, and a mistake of the endpoint does not end reading.
func pauseOf(after, interval time.Duration) time.Duration { return max(interval, min(after, maxPause)) }

// fresh returns the objects of a page that were not read.
func (s *source) fresh(text []byte) ([]item, error) {
	var objects []json.RawMessage
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("[")) {
		if err := json.Unmarshal(text, &objects); err != nil {
			return nil, fmt.Errorf("it is no JSON array: %w", err)
		}
	} else {
		for _, line := range bytes.Split(text, []byte("\n")) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				objects = append(objects, line)
			}
		}
	}
	var out []item
	var before uint64
	for n, text := range objects {
		i, err := newItem(text, s.config.String("http.cursor.field"))
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", n+1, err)
		}
		if i.number < before {
			return nil, fmt.Errorf("object %d: its cursor %s comes before that of the object before it; let the endpoint sort by %s, ascending", n+1, i.cursor, s.config.String("http.cursor.field"))
		}
		if before = i.number; !s.at.has(&i) {
			out = append(out, i)
		}
	}
	return out, nil
}
