package golden

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

type overREST struct{ url string }

// OverREST is a worker behind Connect's REST API at a base URL, such as the reference's own.
func OverREST(url string) Worker { return overREST{strings.TrimSuffix(url, "/")} }

// call repeats a request while the group rebalances.
func (w overREST) call(ctx context.Context, method, path string, body any) (int, []byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, fmt.Errorf("encode request: %w", err)
	}
	for {
		rq, err := http.NewRequestWithContext(ctx, method, w.url+path, bytes.NewReader(text))
		if err != nil {
			return 0, nil, fmt.Errorf("make request: %w", err)
		}
		rq.Header.Set("Content-Type", "application/json")
		rs, err := http.DefaultClient.Do(rq)
		if err != nil {
			return 0, nil, fmt.Errorf("ask the worker: %w", err)
		}
		answer, err := io.ReadAll(rs.Body)
		if err := errors.Join(err, rs.Body.Close()); err != nil {
			return 0, nil, fmt.Errorf("read the worker's answer: %w", err)
		}
		if rs.StatusCode != http.StatusConflict || !bytes.Contains(answer, []byte("rebalance")) {
			return rs.StatusCode, answer, nil
		}
		if err := sleep(ctx, poll); err != nil {
			return 0, nil, err
		}
	}
}

func (w overREST) must(ctx context.Context, method, path string, body any) error {
	status, answer, err := w.call(ctx, method, "/connectors/"+path, body)
	if err == nil && status >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %d %s", method, path, status, answer)
	}
	return err
}

func (w overREST) PutConfig(ctx context.Context, name string, config map[string]string) error {
	return w.must(ctx, http.MethodPut, name+"/config", config)
}

func (w overREST) Stop(ctx context.Context, name string) error {
	return w.must(ctx, http.MethodPut, name+"/stop", nil)
}

func (w overREST) Resume(ctx context.Context, name string) error {
	return w.must(ctx, http.MethodPut, name+"/resume", nil)
}

func (w overREST) Pause(ctx context.Context, name string) error {
	return w.must(ctx, http.MethodPut, name+"/pause", nil)
}

func (w overREST) Restart(ctx context.Context, name string) error {
	return w.must(ctx, http.MethodPost, name+"/restart?includeTasks=true", nil)
}

func (w overREST) Delete(ctx context.Context, name string) error {
	return w.must(ctx, http.MethodDelete, name, nil)
}

func (w overREST) State(ctx context.Context, name string) (string, []TaskState, error) {
	status, answer, err := w.call(ctx, http.MethodGet, "/connectors/"+name+"/status", nil)
	if err != nil || status == http.StatusNotFound {
		return "", nil, err
	}
	var body struct {
		Connector TaskState
		Tasks     []TaskState
	}
	if err := json.Unmarshal(answer, &body); err != nil {
		return "", nil, fmt.Errorf("read the status of %s: %w", name, err)
	}
	return body.Connector.State, body.Tasks, nil
}

func (w overREST) Offsets(ctx context.Context, name string) (json.RawMessage, error) {
	_, answer, err := w.call(ctx, http.MethodGet, "/connectors/"+name+"/offsets", nil)
	return answer, err
}

func (w overREST) AlterOffsets(ctx context.Context, name string, offsets json.RawMessage) (int, string, error) {
	status, answer, err := w.call(ctx, http.MethodPatch, "/connectors/"+name+"/offsets", offsets)
	return status, string(answer), err
}

func (w overREST) ResetOffsets(ctx context.Context, name string) (int, string, error) {
	status, answer, err := w.call(ctx, http.MethodDelete, "/connectors/"+name+"/offsets", nil)
	return status, string(answer), err
}
